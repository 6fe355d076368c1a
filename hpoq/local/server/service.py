"""The interface between the gateway and our own services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class Place:
    """An account and a Region, which have jobs and quotas of their own."""

    account: str
    region: str


class Service(Protocol):
    """An AWS service in one account and Region."""

    def required_permissions(self, target: str, body: bytes) -> Sequence[RequiredPermission]:
        """Return the permissions that a request needs."""

    def handle(self, target: str, body: bytes) -> HttpResponse:
        """Answer a request. May block."""


class ServiceInAllPlaces:
    """An AWS service, which starts in an account and Region with the first request there.

    Args:
        prefix: of the ``X-Amz-Target`` header of its requests.
        name: in IAM actions.
        start: returns the running service of a place. May block.
    """

    def __init__(self, prefix: str, name: str, start: Callable[[Place], Service]) -> None:
        self.prefix = prefix
        self.name = name
        self._start = start
        self._running: dict[Place, Service] = {}
        self._lock = threading.Lock()

    def find(self, place: Place) -> Service | None:
        """Return the service of a place if it is running."""
        return self._running.get(place)

    def start(self, place: Place) -> Service:
        """Return the service of a place, which starts unless it is running. May block."""
        with self._lock:
            if place not in self._running:
                self._running[place] = self._start(place)
            return self._running[place]
