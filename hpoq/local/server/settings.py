"""What the cloud's process is told by whoever starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What ``up`` tells the process it starts."""

    account: str
    region: str
    access_key_id: str
    listener: int  # file descriptor of the listening socket
    ready: int  # file descriptor to write to once the port answers
    interpreter: str  # runs training jobs
    function_interpreters: Mapping[str, str] = field(default_factory=dict)
    quotas: Mapping[str, int] = field(default_factory=dict)
