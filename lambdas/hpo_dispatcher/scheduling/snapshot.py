"""What admission looks at: who holds what, who is in line, and how much there is. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hpo_dispatcher.tuning_job.build import Demand

SLOTS = "tuning jobs"

Amounts = Mapping[str, int]  # resource -> count
Key = tuple[str, str]  # team, request id
Shape = tuple[int | tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Head:
    """A queued request near the front of its team's line."""

    team: str
    request_id: str
    priority: int
    accepted_at: datetime
    demand: Demand
    # Made once: a plan asks for them several times of each of ten thousand.
    key: Key = field(init=False, repr=False, compare=False)  # unique in a deployment
    shape: Shape = field(init=False, repr=False, compare=False)  # of the same: need the same

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.team, self.request_id))
        shape = self.demand.tuning_jobs, *self.demand.instances.items()
        object.__setattr__(self, "shape", shape)

    @property
    def needs(self) -> dict[str, int]:
        """What it would hold, by resource."""
        return needs(self.demand)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A tuning job that holds capacity, ours or anybody's."""

    tuning_job_name: str
    team: str | None  # None: not created by this deployment
    demand: Demand
    # Of ours only; they decide whether it may be stopped to make room (``preemption``).
    request_id: str = ""
    priority: int = 0
    started_at: datetime | None = None
    obstacle: str = "nothing is known of it"  # why it could not go on later; empty: it could
    resumed: bool = False  # it has been stopped before, and goes on
    stopping: bool = False  # what it holds is about to be free
    stopped_for: Key | None = None  # the head that gets what it holds

    @property
    def key(self) -> Key | None:
        """Of its request; None for what is not ours."""
        return (self.team, self.request_id) if self.team else None

    @property
    def needs(self) -> dict[str, int]:
        """What it holds, by resource."""
        return needs(self.demand)


@dataclass(frozen=True, kw_only=True)
class Front:
    """How long a request has been first in its team's line, and since when others passed it."""

    since: datetime
    passed_at: datetime | None = None  # when the first one started out of turn


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The account and the lines at one moment."""

    now: datetime
    holders: Sequence[Holder]
    lines: Mapping[str, Sequence[Head]]  # team -> heads, next to start first
    fronts: Mapping[Key, Front] = field(default_factory=dict)  # as the last plan left them
    promised: frozenset[Key] = frozenset()  # heads for whom something was stopped


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What the account may hold at once."""

    tuning_jobs: int
    instances: Mapping[str, int] = field(default_factory=dict)  # types without a quota: no limit

    @property
    def limits(self) -> dict[str, int]:
        """By resource."""
        return {SLOTS: self.tuning_jobs, **self.instances}


def needs(demand: Demand) -> dict[str, int]:
    """A demand by resource."""
    return {SLOTS: demand.tuning_jobs, **demand.instances}
