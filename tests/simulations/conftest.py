"""An account of the dispatcher, and the command against it."""

from __future__ import annotations

from tests.support.campaign_fixtures import backend, engine, file, sagemaker, target
from tests.support.command_line import hpoq
from tests.support.dispatcher_account import account, session

__all__ = ["account", "backend", "engine", "file", "hpoq", "sagemaker", "session", "target"]
