"""The legal changes of a ledger entry: the states each may replace, and what it writes.

Every adapter of ``Requests`` applies these transitions, and so does ``hpoq repair``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import Enum, auto
from typing import Any

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Key, RunningEntry, Spent, Status
from hpo_dispatcher.contract.request import digest as digest_of
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.ports.ledger import Added, Ending, Preemption

ON_HOLD = "on hold by its team; release it to let it start"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a stored entry must still be; fields that are None are not compared."""

    status: Status
    tuning_job_name: str | None = None  # a preempted request may have resumed with another one
    on_hold: bool | None = None
    blocked: bool | None = None
    preempted: bool | None = None  # it says for which request it is preempted

    def matches(self, entry: Entry) -> bool:
        """Return whether a stored entry is as expected."""
        pairs = (
            (self.status, entry.status),
            (self.tuning_job_name, entry.tuning_job_name),
            (self.on_hold, entry.on_hold),
            (self.blocked, entry.blocked),
            (self.preempted, entry.preempted_for is not None),
        )
        return all(wanted is None or wanted == found for wanted, found in pairs)


class RowChange(Enum):
    """What happens to a row that follows from an entry."""

    DELETE = auto()
    UPDATE = auto()  # the row must exist


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One change of an entry, with the rows that follow from it; written as a whole or not."""

    key: Key
    expected: tuple[Expected, ...]  # one of them must match; none: there must be no entry
    changes: Mapping[str, Any] = field(default_factory=dict)  # fields of ``Entry``
    queue_sort_key: str = ""  # it joins or moves within its team's queue
    leaves_queue: bool = False
    tuning_job_name: str = ""  # of the row that counts its capacity
    running: RunningEntry | RowChange | None = None  # what becomes of that row
    blocked: BlockedEntry | RowChange | None = None  # of the row that says what it waits for
    spent: Spent | None = None

    def allows(self, entry: Entry | None) -> bool:
        """Return whether the transition may replace a stored entry."""
        if entry is None:
            return not self.expected
        return any(expected.matches(entry) for expected in self.expected)


def start(entry: Entry, at: datetime) -> Transition:
    """Queued -> InProgress, before the tuning job is created."""
    changes: dict[str, Any] = {
        "status": Status.IN_PROGRESS,
        "tuning_job_name": entry.job_name,
        "started_at": at,
        "reason": "",
    }
    if entry.targets != (HOME,) or entry.target != HOME:
        changes["target"] = entry.target
    return Transition(
        key=entry.key,
        expected=(Expected(status=Status.QUEUED, on_hold=False, blocked=False),),
        changes=changes,
        leaves_queue=True,
        tuning_job_name=entry.job_name,
        running=RunningEntry.of(replace(entry, **changes)),
    )


def requeue(entry: Entry, reason: str, *, keep_target: bool = False) -> Transition:
    """InProgress -> Queued, because no tuning job was created."""
    kept: dict[str, Any] = {}
    if keep_target and len(entry.allowed_targets) > 1:
        kept = {"targets": (entry.target,), **_elsewhere(entry.target)}
    return Transition(
        key=entry.key,
        expected=(Expected(status=Status.IN_PROGRESS, tuning_job_name=entry.job_name),),
        changes={
            "status": Status.QUEUED,
            "reason": reason,
            "started_at": None,
            "tuning_job_name": "",
            **kept,
        },
        queue_sort_key=entry.queue_sort_key,
        tuning_job_name=entry.job_name,
        running=RowChange.DELETE,
    )


def stop(entry: Entry) -> Transition:
    """InProgress -> Stopping, for good: a preempted request does not resume after this."""
    return _stop(entry.key, entry.job_name, None, 0, entry.target)


def preempt(job: Preemption) -> Transition:
    """InProgress -> Stopping, before the tuning job is stopped for another request."""
    return _stop(
        job.key, job.tuning_job_name, job.preempted_for, job.already_stopped, job.target
    )  # fmt: skip


def _stop(
    key: Key, name: str, preempted_for: Key | None, already_stopped: int, target: str
) -> Transition:
    return Transition(
        key=key,
        expected=(
            Expected(status=Status.IN_PROGRESS, tuning_job_name=name),
            Expected(status=Status.STOPPING, tuning_job_name=name, preempted=True),
        ),
        changes={
            "status": Status.STOPPING,
            "preempted_for": preempted_for,
            "already_stopped": already_stopped,
            **_elsewhere(target),
        },
        tuning_job_name=name,
        running=RowChange.UPDATE,
    )


def _elsewhere(target: str) -> dict[str, Any]:
    """Return the target again, because it decides on the version of the row."""
    return {} if target == HOME else {"target": target}


def finish(ending: Ending) -> Transition:
    """Any state in ``ending.was`` -> a final state, or Queued if the request resumes.

    An ending observed before its tuning job was preempted is not the end of its request.
    """
    resumed = ending.resumes_as
    same_job: dict[str, Any] = {}
    if ending.tuning_job_name:
        same_job = {"tuning_job_name": ending.tuning_job_name, "preempted": ending.preempted}
    never_started = Status.QUEUED in ending.was and not ending.tuning_job_name
    return Transition(
        key=ending.key,
        expected=tuple(Expected(status=status, **same_job) for status in ending.was),
        changes=_resumed(resumed) if resumed else _ended(ending),
        queue_sort_key=resumed.queue_sort_key if resumed else "",
        leaves_queue=not resumed,
        tuning_job_name=ending.tuning_job_name,
        running=RowChange.DELETE if ending.tuning_job_name else None,
        blocked=RowChange.DELETE if never_started else None,
        spent=ending.spent,
    )


def _ended(ending: Ending) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "status": ending.status,
        "ended_at": ending.ended_at,
        "reason": ending.reason,
        "counters": ending.counters,
        "blocked": False,
        "on_hold": False,
        "preempted_for": None,
        "already_stopped": 0,
    }
    return changes | ({"best": ending.best} if ending.best else {})


def _resumed(entry: Entry) -> dict[str, Any]:
    kept = (
        "reason",
        "instances",
        "max_parallel",
        "most_instance_seconds",
        "resume_blocker",
        "earlier",
    )
    changes = {name: getattr(entry, name) for name in (*kept, "counters")}
    changes |= {"best": entry.best} if entry.best else {}
    return (
        changes
        | _elsewhere(entry.target)
        | {
            "status": Status.QUEUED,
            "started_at": None,
            "tuning_job_name": "",
            "preempted_for": None,
            "already_stopped": 0,
        }
    )


def hold(entry: Entry) -> Transition | None:
    """Take a queued request out of its team's queue; None if it is not queued."""
    if entry.status is not Status.QUEUED:
        return None
    return Transition(
        key=entry.key,
        expected=(_queued(entry),),
        changes={"on_hold": True, "reason": ON_HOLD},
        leaves_queue=True,
    )


def release(entry: Entry) -> Transition | None:
    """Put a request that is on hold back into its team's queue; None if it is not on hold."""
    if entry.status is not Status.QUEUED or not entry.on_hold:
        return None
    return Transition(
        key=entry.key,
        expected=(_queued(entry),),
        changes={"on_hold": False, "reason": ""},
        queue_sort_key="" if entry.blocked else entry.queue_sort_key,
    )


# What a request takes over that had to wait for its template, besides its targets.
DEMAND_FIELDS = (
    "instances", "max_training_jobs", "max_parallel", "most_instance_seconds", "resume_blocker",
)  # fmt: skip


def unblock(entry: Entry, demand: Entry | None) -> Transition | None:
    """Let a blocked request join its team's queue; None if it is not blocked."""
    if entry.status is not Status.QUEUED or not entry.blocked:
        return None
    changes: dict[str, Any] = {"blocked": False, "reason": ""}
    changes |= {name: getattr(demand, name) for name in DEMAND_FIELDS if demand}
    if demand and demand.targets != entry.targets:
        changes["targets"] = demand.targets
    return Transition(
        key=entry.key,
        expected=(_queued(entry),),
        changes=changes,
        queue_sort_key="" if entry.on_hold else entry.queue_sort_key,
        blocked=RowChange.DELETE,
    )


def set_priority(entry: Entry, priority: int) -> Transition | None:
    """Move a queued request within its team's queue; None if it is not queued."""
    if entry.status is not Status.QUEUED:
        return None
    moved = replace(entry, priority=priority)
    return Transition(
        key=entry.key,
        expected=(_queued(entry),),
        changes={"priority": priority},
        queue_sort_key=moved.queue_sort_key if moved.in_queue else "",
    )


def _queued(entry: Entry) -> Expected:
    """Return the expectation that neither a hold nor a parent's end came in between."""
    return Expected(status=Status.QUEUED, on_hold=entry.on_hold, blocked=entry.blocked)


def restore(entry: Entry, was: Status | None, *, changed: bool) -> Transition:
    """Write an entry as it has to be, and the rows that follow from it.

    Args:
        entry: the entry as it has to be.
        was: the state it replaces; None if there is no entry.
        changed: False if the entry is right, and only its rows are missing.
    """
    names = {each.name for each in fields(entry)} - {"team", "request_id"}
    waits = entry.status is Status.QUEUED and entry.blocked
    return Transition(
        key=entry.key,
        expected=(Expected(status=was),) if was else (),
        changes={name: getattr(entry, name) for name in sorted(names)} if changed else {},
        queue_sort_key=entry.queue_sort_key if changed and entry.in_queue else "",
        leaves_queue=changed and not entry.in_queue,
        tuning_job_name=entry.job_name,
        running=RunningEntry.of(entry) if entry.status.active else RowChange.DELETE,
        blocked=BlockedEntry.of(entry) if waits else RowChange.DELETE,
    )


def outcome_of_repeat(
    entry: Entry, *, status: str | None, digest: str | None, tuning_job_name: str | None
) -> Added:
    """Return what becomes of a new entry whose id is in use.

    Args:
        entry: the new entry.
        status: of the entry that has the id; None if it is gone meanwhile.
        digest: of that entry's request; None if its request is unknown.
        tuning_job_name: of that entry; None if it never had one.
    """
    if digest is None and tuning_job_name:
        return Added.REPEATED  # the entry was rebuilt from its tuning job
    if digest is None and status == Status.CANCELLED:
        return Added.CANCELLED
    same = digest is not None and digest == digest_of(entry.request_json)
    return Added.REPEATED if same else Added.TAKEN


def spent_in_all(transitions: Iterable[Transition]) -> dict[tuple[str, str], int]:
    """Return the instance-seconds that transitions add, by month and team."""
    sums: dict[tuple[str, str], int] = {}
    for spent in (each.spent for each in transitions if each.spent):
        key = spent.month, spent.team
        sums[key] = sums.get(key, 0) + spent.instance_seconds
    return sums
