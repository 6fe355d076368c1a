"""What a service of ours is to the front: targets, permissions, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Answer = tuple[int, Sequence[tuple[str, str]], bytes]
"""Status, headers and body."""


@dataclass(frozen=True)
class Check:
    """One permission that a call needs."""

    action: str
    resource: str = "*"
    keys: Mapping[str, Any] = field(default_factory=dict)  # condition keys in lower case


class Service(Protocol):
    """Addressed by ``X-Amz-Target``."""

    prefix: str  # of its targets
    name: str  # IAM's

    def checks(self, target: str, body: bytes) -> Sequence[Check]:
        """The permissions a request needs."""

    def handle(self, target: str, body: bytes) -> Answer:
        """Answer it; may block."""
