"""The fixtures of campaigns."""

from __future__ import annotations

from tests.support.campaign_fixtures import backend, engine, file, sagemaker, target

__all__ = ["backend", "engine", "file", "sagemaker", "target"]
