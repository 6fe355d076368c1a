"""The fixtures of the dispatcher's tests."""

from __future__ import annotations

from tests.support.dispatcher_account import account, session

__all__ = ["account", "session"]
