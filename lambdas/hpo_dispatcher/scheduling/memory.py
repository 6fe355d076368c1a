"""What the scheduler remembers for itself from one cycle to the next: a private document.

Clients must not read it; what they need is in the capacity document.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from hpo_dispatcher.contract.entry import Key, Moment
from hpo_dispatcher.scheduling.snapshot import ReservationTimer

MEMORY = "scheduler-memory"  # the name of the document


class _Timer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    team: str
    request_id: str
    since: Moment
    passed_at: Moment | None = None


class _Memory(BaseModel):
    model_config = ConfigDict(extra="ignore")

    reservation_timers: list[_Timer] = []


class _CapacityOfVersionBefore(BaseModel):
    """The timers in a capacity document of the version before."""

    model_config = ConfigDict(extra="ignore")

    fronts: list[_Timer] = []


def memory_json(timers: Mapping[Key, ReservationTimer]) -> str:
    """Return the document."""
    stored = [
        _Timer(team=team, request_id=request_id, since=timer.since, passed_at=timer.passed_at)
        for (team, request_id), timer in timers.items()
    ]
    return _Memory(reservation_timers=stored).model_dump_json(exclude_none=True)


def timers_from(memory: str | None, capacity: str | None) -> dict[Key, ReservationTimer]:
    """Return the reservation timers.

    Args:
        memory: the document; None before the first cycle of this version.
        capacity: the capacity document; one written by the version before has the timers.
    """
    if memory is not None:
        stored = _Memory.model_validate_json(memory).reservation_timers
    else:
        stored = _CapacityOfVersionBefore.model_validate_json(capacity or "{}").fronts
    return {
        (each.team, each.request_id): ReservationTimer(since=each.since, passed_at=each.passed_at)
        for each in stored
    }
