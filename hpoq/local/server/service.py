"""The interface between the gateway and our own services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

HttpResponse = tuple[int, Sequence[tuple[str, str]], bytes]
"""Status, headers and body."""


@dataclass(frozen=True)
class RequiredPermission:
    """One permission that a call needs."""

    action: str
    resource: str = "*"
    condition_keys: Mapping[str, Any] = field(default_factory=dict)  # names in lower case


class Service(Protocol):
    """An AWS service whose requests have an ``X-Amz-Target`` header."""

    prefix: str  # of its targets
    name: str  # in IAM actions

    def required_permissions(self, target: str, body: bytes) -> Sequence[RequiredPermission]:
        """Return the permissions that a request needs."""

    def handle(self, target: str, body: bytes) -> HttpResponse:
        """Answer a request. May block."""
