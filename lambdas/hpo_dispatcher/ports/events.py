"""The port to the event bus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hpo_dispatcher.contract.documents.events import StateChange


class Events(Protocol):
    """The event bus. Publishing is best effort; the ledger is the source of truth."""

    def publish(self, changes: Sequence[StateChange]) -> None:
        """Publish state changes; failures are logged, not raised."""
