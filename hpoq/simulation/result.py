"""The result of a simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The running and queued requests after a cycle, by team."""

    hours: float
    running: dict[str, int]
    queued: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """The result of a simulation."""

    workload: str
    requests: int
    completed: int
    failed: int
    cancelled: int  # such as requests whose parents failed
    lost: int
    duplicated: int  # tuning jobs created beyond one per request
    peak: int
    slots: int  # of all targets
    hours: float
    utilization: float  # of the slots, while requests were queued
    utilization_on: dict[str, float]  # of the slots of each target
    instance_utilization: dict[str, float]  # of each quota, while requests were queued
    # Largest mean shortfall of a team from its fair share, as a part of the account.
    fairness_gap: float
    cycles: int
    calls: dict[str, int]
    calls_per_job: float
    sagemaker_calls_per_job: float
    over_quota: int  # tuning jobs that were started beyond a quota
    # Requests that nothing could start anymore, and what they wait for.
    waiting: dict[str, str] = field(default_factory=dict)
    waits: dict[str, dict[str, float]] = field(default_factory=dict)  # team -> percentile -> s
    starts: Sequence[tuple[float, str, str]] = ()  # (seconds, team, request id)
    ends: Sequence[float] = ()
    moments: Sequence[Moment] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the totals for ``--json``, without individual starts, ends and moments."""
        omitted = ("starts", "ends", "moments")
        return {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name not in omitted
        }


def percentiles(values: list[float]) -> dict[str, float]:
    """Return the 50th, 90th, 99th and 100th percentile."""
    ordered = sorted(values)
    return {
        f"p{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)]
        for share in (50, 90, 99, 100)
    }
