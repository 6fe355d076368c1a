"""The endpoint whose training jobs run."""

from __future__ import annotations

from tests.support.endpoint_fixtures import bare_python, memory, sagemaker, session, start

__all__ = ["bare_python", "memory", "sagemaker", "session", "start"]
