"""The settings of the cloud's process, which the launcher writes to ``server.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The account to serve, and how to serve it."""

    account: str
    region: str
    access_key_id: str
    listener: int  # file descriptor of the listening socket
    ready: int  # file descriptor to write to when the port answers
    interpreter: str  # runs training jobs
    environments: str  # folder of Python environments
    pip: Mapping[str, str] = field(default_factory=dict)  # variables for pip
    function_interpreters: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)  # by the names in local/limits.py
