"""The outcomes of the steps of a cycle, and the events that report them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.documents.events import StateChange
from hpo_dispatcher.contract.entry import Entry, Key, RunningEntry, Status
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.ports import TuningJob, TuningJobDetail
from hpo_dispatcher.scheduling.backoff import Backoff, Refusals
from hpo_dispatcher.scheduling.budget import Budget
from hpo_dispatcher.scheduling.plan import Plan
from hpo_dispatcher.scheduling.snapshot import Capacity, RunningJob


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The numbers of one cycle."""

    skipped: str = ""  # why no cycle ran
    received: int = 0
    accepted: int = 0
    repeated: int = 0
    rejected: int = 0
    actions: int = 0
    in_progress: int = 0  # tuning jobs that use capacity after the cycle, whoever created them
    limit: int = 0
    started: int = 0
    requeued: int = 0
    stopped: int = 0  # preempted; they resume later
    waiting: int = 0  # heads that were examined and do not start
    finished: int = 0
    account_faults: int = 0  # requests that wait because of a fault of the account
    unanswered_workflows: int = 0  # answers that failed and are tried again
    given_up_workflows: int = 0  # answers that failed for the last time
    problems: tuple[str, ...] = ()
    seconds: float = 0.0  # duration of the cycle

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values, for the log and the function's result."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The tuning jobs that use capacity, whoever created them."""

    listed: Mapping[str, TuningJob]
    active: Sequence[RunningEntry]
    ended: Sequence[tuple[RunningEntry, TuningJobDetail]]
    missing: Sequence[RunningEntry]  # in the ledger before their creation; unknown to SageMaker
    # Those of them that may have existed and been deleted: they are not created in this cycle.
    unsure: AbstractSet[Key] = frozenset()
    # Those of the active that are on targets which did not answer: nothing is known about them.
    unobserved: AbstractSet[Key] = frozenset()
    down: Mapping[str, str] = field(default_factory=dict)  # these targets -> the problem


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The plan, and what it was made from."""

    plan: Plan
    entries: Mapping[Key, Entry]
    queues: Mapping[str, Sequence[Entry]]  # heads, of the teams that are not on hold
    whole: AbstractSet[str]  # teams whose queue is not longer than that
    teams_on_hold: AbstractSet[str]
    running_jobs: Sequence[RunningJob]
    capacity: Capacity
    budgets: Mapping[str, Budget]  # of the teams that have one
    backoff: Backoff = field(default_factory=Backoff)  # what is delayed, before the starts
    usage: Mapping[str, float] = field(default_factory=dict)  # by team, before the starts
    read_up_to: Mapping[str, str] = field(default_factory=dict)  # by team, in long queues
    problems: tuple[str, ...] = ()
    closed: Mapping[str, WaitReason] = field(default_factory=dict)  # targets that are not used


@dataclass(frozen=True, kw_only=True)
class QueueMove:
    """A request that joined or left its team's queue."""

    team: str
    sort_key: str
    joined: bool


@dataclass(frozen=True, kw_only=True)
class IntakeOutcome:
    """The result of intake. Several threads write to it."""

    clock: Callable[[], datetime]
    counts: Counter[str] = field(default_factory=Counter)
    accepted: list[Entry] = field(default_factory=list)
    on_hold: set[Key] = field(default_factory=set)  # accepted and put on hold by the same intake
    unblocked: list[Entry] = field(default_factory=list)  # their parents have ended
    changes: list[StateChange] = field(default_factory=list)
    moves: list[QueueMove] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str, number: int = 1) -> None:
        """Count messages by what became of them."""
        with self._lock:
            self.counts[what] += number

    def joined_queue(self, entry: Entry) -> None:
        """Record that a request joined its team's queue."""
        self._moved(entry, joined=True)

    def left_queue(self, entry: Entry) -> None:
        """Record that a request left its team's queue."""
        self._moved(entry, joined=False)

    def changed(self, entry: Entry, previous: Status | None) -> None:
        """Record a change of a request's state."""
        change = state_change(
            entry.key,
            entry.status,
            previous,
            self.clock(),
            tuning_job_name=entry.tuning_job_name,
            reason=entry.reason,
            target=entry.target if entry.tuning_job_name else HOME,
        )
        self.changes.append(change)

    def queued(self) -> list[Entry]:
        """Return the requests that this cycle has put into their team's queue."""
        accepted = [e for e in self.accepted if not e.blocked and e.key not in self.on_hold]
        return [*accepted, *self.unblocked]

    def _moved(self, entry: Entry, *, joined: bool) -> None:
        if not (entry.blocked or entry.on_hold):  # those are in no queue
            self.moves.append(queue_move(entry, joined=joined))


@dataclass(frozen=True, kw_only=True)
class ActOutcome:
    """The result of acting on a decision."""

    dequeued: set[Key] = field(default_factory=set)  # InProgress in the ledger before creation
    started: list[Key] = field(default_factory=list)
    requeued: dict[Key, str] = field(default_factory=dict)  # and why
    rejected: list[Key] = field(default_factory=list)
    failed: list[Key] = field(default_factory=list)  # faults of the account for too long
    # Requests whose tuning jobs may exist, without an event that says so.
    unannounced: set[Key] = field(default_factory=set)
    delayed: dict[Key, WaitKind] = field(default_factory=dict)  # requeued, each for itself
    delayed_on: dict[Key, str] = field(default_factory=dict)  # the target that refused each
    quotas: dict[str, QuotaExceeded] = field(default_factory=dict)  # by resource
    preempted: list[Key] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def out_of_queue(self) -> set[Key]:
        """The requests that left their queue: started, or rejected when they should start."""
        return self.dequeued - set(self.requeued)

    @property
    def refusals(self) -> Refusals:
        """What SageMaker has refused."""
        return Refusals(requests=self.delayed, quotas=self.quotas, targets=self.delayed_on)

    def delay(self, entry: Entry, kind: WaitKind) -> None:
        """Delay one request on the target that refused it."""
        self.delayed[entry.key] = kind
        self.delayed_on[entry.key] = entry.target


@dataclass(frozen=True, kw_only=True)
class ReconcileOutcome:
    """The result of reconciling."""

    changes: list[StateChange]
    queued: list[Entry]  # unblocked, or resumed after a preemption
    broken_templates: int = 0  # requests that are blocked because their template is broken


@dataclass(frozen=True, kw_only=True)
class AnswersOutcome:
    """The result of answering workflows."""

    unanswered: int = 0  # attempts have failed, and there will be others
    given_up: int = 0
    problems: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class CycleOutcome:
    """The outcomes of the first five steps of a cycle, and of the answers to workflows."""

    taken: IntakeOutcome
    seen: Observation
    decided: Decision
    done: ActOutcome
    finished: ReconcileOutcome
    answered: AnswersOutcome

    def backoff(self, now: datetime) -> Backoff:
        """Return what the next cycle delays."""
        decided, done = self.decided, self.done
        started = [decided.entries[key] for key in done.started if key in decided.entries]
        ended = [*done.rejected, *done.failed]
        backoff = decided.backoff.without(ended)
        return backoff.after(done.refusals, started, decided.running_jobs, now)

    def summary(
        self, *, limit: int, unreadable: Sequence[str], account_faults: int, seconds: float
    ) -> Summary:
        """Return the numbers of the cycle."""
        taken, done = self.taken, self.done
        return Summary(
            received=taken.counts["received"],
            accepted=taken.counts["new"],
            repeated=taken.counts["repeated"],
            rejected=taken.counts["rejected"] + len(done.rejected),
            actions=taken.counts["actions"],
            in_progress=len(self.seen.listed) + len(done.started),
            limit=limit,
            started=len(done.started),
            requeued=len(done.requeued),
            stopped=len(done.preempted),
            waiting=len(self.decided.plan.waits),
            finished=len(self.finished.changes),
            account_faults=account_faults + taken.counts["broken_templates"],
            unanswered_workflows=self.answered.unanswered,
            given_up_workflows=self.answered.given_up,
            problems=(
                *taken.problems,
                *self.seen.down.values(),
                *self.decided.problems,
                *done.problems,
                *self.answered.problems,
                *unreadable,
            ),
            seconds=seconds,
        )


def queue_move(entry: Entry, *, joined: bool) -> QueueMove:
    """Return the record of a request that joins or leaves its team's queue."""
    return QueueMove(team=entry.team, sort_key=entry.queue_sort_key, joined=joined)


def state_change(
    key: Key,
    status: Status,
    previous: Status | None,
    at: datetime,
    *,
    tuning_job_name: str = "",
    reason: str = "",
    target: str = HOME,
) -> StateChange:
    """Return the event of a state change. All events of a cycle are made here."""
    return StateChange(
        team=key[0],
        request_id=key[1],
        status=status,
        previous_status=previous,
        tuning_job_name=tuning_job_name,
        reason=reason,
        at=at,
        target=target,
    )


# Called after each completed cycle, also with the number of queued requests by team.
Watch = Callable[[Summary, Observation, Decision, Mapping[str, int]], None]
