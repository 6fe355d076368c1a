"""What one dispatch cycle saw, decided and came to. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Any

from hpo_dispatcher.contract.entry import Entry, Key, RunningEntry
from hpo_dispatcher.ports import TuningJob, TuningJobDetail
from hpo_dispatcher.scheduling.budget import Budget
from hpo_dispatcher.scheduling.plan import Plan
from hpo_dispatcher.scheduling.snapshot import Capacity, RunningJob


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One cycle in numbers."""

    skipped: str = ""  # why there was no cycle
    received: int = 0
    accepted: int = 0
    repeated: int = 0
    rejected: int = 0
    actions: int = 0
    in_progress: int = 0  # tuning jobs holding capacity after the cycle, anybody's
    limit: int = 0
    started: int = 0
    requeued: int = 0
    stopped: int = 0  # to make room; they go on later
    waiting: int = 0  # heads that were looked at and did not start
    finished: int = 0
    problems: tuple[str, ...] = ()
    seconds: float = 0.0  # the cycle took

    def as_dict(self) -> dict[str, Any]:
        """For the log line and the function's result."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The account as it is, ours and others'."""

    listed: Mapping[str, TuningJob]
    active: Sequence[RunningEntry]
    ended: Sequence[tuple[RunningEntry, TuningJobDetail]]
    missing: Sequence[RunningEntry]  # written ahead, but SageMaker has never seen them


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The plan, and the entries of the heads it speaks of."""

    plan: Plan
    entries: Mapping[Key, Entry]
    queues: Mapping[str, Sequence[Entry]]  # heads, of the teams that are not on hold
    whole: AbstractSet[str]  # teams whose queue is not longer than that
    teams_on_hold: AbstractSet[str]
    running_jobs: Sequence[RunningJob]
    capacity: Capacity
    budgets: Mapping[str, Budget]  # of the teams that have one


# Told of every cycle that came to its end.
Watch = Callable[[Summary, Observation, Decision], None]
