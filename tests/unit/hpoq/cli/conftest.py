"""The command against a moto account whose dispatcher is at hand."""

from __future__ import annotations

from tests.support.command_line import hpoq
from tests.support.dispatcher_account import account, session

__all__ = ["account", "hpoq", "session"]
