"""What admission looks at and answers with: running jobs, queues, limits, waits. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.documents.capacity import CapacityDocument, WaitReason
from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.targets.resources import HOME, all_on_target, over_targets

SLOTS = "tuning jobs"

Amounts = Mapping[str, int]  # resource -> count
Shape = tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Head:
    """A queued request near the head of its team's queue."""

    team: str
    request_id: str
    priority: int
    accepted_at: datetime
    # Type and purchase option -> parallel training jobs x instance count.
    instances: Mapping[str, int]
    expected_seconds: float | None = None  # how long it will run; None: unknown
    targets: tuple[str, ...] = (HOME,)  # on which it may run; a placed head has one
    # Computed once: a plan reads them several times for each of ten thousand heads.
    key: Key = field(init=False, repr=False, compare=False)  # unique in a deployment
    shape: Shape = field(init=False, repr=False, compare=False)  # equal shapes have equal needs
    needs: Amounts = field(init=False, repr=False, compare=False)  # on its first target

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.team, self.request_id))
        object.__setattr__(self, "shape", shape_of(self.instances, self.targets))
        object.__setattr__(self, "needs", needs(self.instances, self.target))

    @property
    def target(self) -> str:
        """The target that it is placed on, or the first one that it may run on."""
        return self.targets[0]

    @cached_property
    def placements(self) -> tuple[Head, ...]:
        """The head on each of the targets that it may run on."""
        if len(self.targets) == 1:
            return (self,)
        return tuple(replace(self, targets=(target,)) for target in self.targets)

    def on(self, target: str) -> Head:
        """Return the head placed on a target, or unplaced if it may not run there."""
        return next((each for each in self.placements if each.target == target), self)


@dataclass(frozen=True, kw_only=True)
class RunningJob:
    """A tuning job that uses capacity, whoever created it."""

    tuning_job_name: str
    team: str | None  # None: not created by this deployment
    instances: Mapping[str, int]  # type and purchase option -> count in use
    target: str = HOME
    # The rest is known of this deployment's jobs only, and decides on preemption.
    request_id: str = ""
    priority: int = 0
    started_at: datetime | None = None
    expected_end: datetime | None = None  # None: unknown
    resume_blocker: str = "nothing is known about it"  # why it could not resume; empty: it could
    resumed: bool = False  # it was stopped before
    stopping: bool = False  # its capacity is about to be free
    preempted_for: Key | None = None  # the head that gets its capacity

    @property
    def key(self) -> Key | None:
        """The key of the job's request; None for a job of others."""
        return (self.team, self.request_id) if self.team else None

    @property
    def needs(self) -> dict[str, int]:
        """The amount of each resource that the job uses."""
        return needs(self.instances, self.target)


@dataclass(frozen=True, kw_only=True)
class ReservationTimer:
    """The time that a request has been first in its queue; decides about its reservation."""

    since: datetime
    passed_at: datetime | None = None  # when another request first started out of turn
    reserved_at: datetime | None = None  # since when it has had a reservation without a break
    promised_at: datetime | None = None  # when its reservation was first expected to be met
    target: str = HOME  # of its reservation


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The account and the queues at one moment."""

    now: datetime
    running_jobs: Sequence[RunningJob]
    queues: Mapping[str, Sequence[Head]]  # team -> heads, next to start first
    # As the last plan left them.
    reservation_timers: Mapping[Key, ReservationTimer] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)  # by team, in hours of the account
    promised: frozenset[Key] = frozenset()  # heads for which a running job was stopped
    freed_on: Mapping[Key, str] = field(default_factory=dict)  # its target; absent: home


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The limits of an account, and of the other targets."""

    tuning_jobs: int
    instances: Mapping[str, int] = field(default_factory=dict)  # without a quota: no limit
    preference: float = 1.0  # over other targets
    teams: tuple[str, ...] = ()  # that may use it; empty: all
    targets: Mapping[str, Capacity] = field(default_factory=dict)  # besides home, by name

    @classmethod
    def of(cls, document: CapacityDocument) -> Capacity:
        """Return the limits that a capacity document states."""
        return cls(
            tuning_jobs=document.tuning_jobs.limit or 0,
            instances=document.quotas,
            preference=document.preference,
            teams=document.may_use,
            targets={
                name: cls(
                    tuning_jobs=each.tuning_jobs.limit or 0,
                    instances=each.quotas,
                    preference=each.preference,
                    teams=each.may_use,
                )
                for name, each in document.targets.items()
            },
        )

    @cached_property
    def limits(self) -> dict[str, int]:
        """The limit of each resource that has one, of all targets."""
        limits = {SLOTS: self.tuning_jobs, **self.instances}
        for name, target in self.targets.items():
            limits |= all_on_target(name, {SLOTS: target.tuning_jobs, **target.instances})
        return limits

    @cached_property
    def over_targets(self) -> dict[str, int]:
        """The sum of the limits of each resource over all targets."""
        return over_targets(self.limits.items())

    @property
    def all_tuning_jobs(self) -> int:
        """The number of tuning jobs that may run at once on all targets."""
        return self.over_targets[SLOTS]

    def on(self, target: str) -> Capacity | None:
        """Return the capacity of one target; None for an unknown one."""
        return self if target == HOME else self.targets.get(target)

    def counted(self, instances: Mapping[str, int]) -> dict[str, int]:
        """Return instances with those of their totals that have a limit."""
        counted = with_totals(instances).items()
        shown = self.instances
        return {r: n for r, n in counted if r in shown or not aws_limits.is_total(r)}


class Wait(NamedTuple):
    """A head that does not start, and the reason."""

    head: Head
    reason: WaitReason


def shape_of(instances: Mapping[str, int], targets: Sequence[str]) -> Shape:
    """Return what is equal for requests that need the same, on the same targets."""
    shape = tuple(instances.items())
    return shape if targets == (HOME,) else (*shape, *((f"on {each}", 0) for each in targets))


def needs(instances: Mapping[str, int], target: str = HOME) -> dict[str, int]:
    """Return the amount of each resource that a tuning job with these instances uses on a target.

    An instance counts toward the quota of its type and purchase option, and toward the quota of
    all instances of that purchase option.
    """
    amounts = {SLOTS: 1, **with_totals(instances)}
    return amounts if target == HOME else dict(all_on_target(target, amounts))


def with_totals(instances: Mapping[str, int]) -> dict[str, int]:
    """Return instances with the totals over all types, one for each purchase option in use."""
    return {**instances, **aws_limits.totals_of(instances)}
