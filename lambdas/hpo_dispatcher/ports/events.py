"""The port to the event bus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hpo_dispatcher.contract.entry import Status


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """A change of a request's state."""

    team: str
    request_id: str
    status: Status
    previous_status: Status | None
    tuning_job_name: str = ""
    reason: str = ""
    at: datetime


class Events(Protocol):
    """The event bus. Publishing is best effort; the ledger is the source of truth."""

    def publish(self, changes: Sequence[StateChange]) -> None:
        """Publish state changes; failures are logged, not raised."""
