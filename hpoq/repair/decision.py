"""Decide what has to change in a restored ledger; no calls, facts in, repairs out.

SageMaker knows which tuning jobs exist and their states; the ledger knows everything else. So an
entry takes its state and its target from its tuning job, an entry without a tuning job is queued
again, and a tuning job without an entry gets one. The rows that count capacity and dependencies
follow from the entries. Nothing is decided about a request that may have run on a target which was
not read. See docs/decisions/0016.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from hpo_dispatcher.contract.aws_limits import totals_of
from hpo_dispatcher.contract.entry import BestTrainingJob, EarlierJob, Entry, Key, Status
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.request import MAX_PARENTS
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.tuning_job.resumption import earlier_job, with_earlier


@dataclass(frozen=True, kw_only=True)
class TaggedJob:
    """A tuning job with this deployment's tags, as SageMaker describes it."""

    name: str
    team: str
    request_id: str
    status: Status
    created_at: datetime
    ended_at: datetime | None
    failure_reason: str
    counters: Mapping[str, int]
    best: BestTrainingJob | None
    instances: Mapping[str, int]
    max_training_jobs: int
    max_parallel: int
    most_instance_seconds: int = 0
    target: str = HOME  # where it is
    number: int = 0  # earlier tuning jobs of its request
    before: Sequence[EarlierJob] = ()  # those of them that were described, oldest first


def stopped(job: TaggedJob, following: TaggedJob) -> EarlierJob:
    """Return the record of a tuning job whose request resumed with the following one."""
    ended = max(0, job.max_training_jobs - following.max_training_jobs)
    others = sum(n for kind, n in job.counters.items() if kind not in ("Stopped", "InProgress"))
    early = max(0, ended - others)
    end = job.ended_at or following.created_at
    seconds = max(0, round((end - job.created_at).total_seconds()))
    return earlier_job(
        job.name,
        job.counters,
        early,
        seconds=seconds,
        instance_seconds=min(
            sum(totals_of(job.instances).values()) * seconds, job.most_instance_seconds
        ),
        found=job.best is not None,
    )


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A dead letter, and why its request was rejected."""

    team: str
    request_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The restored ledger, and what the rest of the account says."""

    now: datetime
    expired_before: datetime | None = None  # requests that ended earlier leave the ledger
    entries: Mapping[Key, Entry]
    running: Mapping[str, str]  # tuning job names of the rows that count capacity -> the target
    blocked: AbstractSet[Key]  # entries with a row that says what they wait for
    unreadable: AbstractSet[Key]  # entries that this version cannot read
    jobs: Mapping[Key, TaggedJob]  # at least of every active entry, if it exists
    letters: Mapping[Key, Letter]
    unread: AbstractSet[str] = frozenset()  # targets whose tuning jobs are not among the jobs


class Kind(StrEnum):
    """The kind of a repair."""

    RESTORE = "restore"  # there was no entry
    CORRECT = "correct"  # its state was out of date
    REQUEUE = "requeue"  # started, but its tuning job was not created
    ROWS = "rows"  # the entry is right, a row that follows from it is missing
    REMOVE = "remove"  # no entry accounts for the row


@dataclass(frozen=True, kw_only=True)
class Repair:
    """One change of the ledger: an entry as it has to be, from which its rows follow."""

    kind: Kind
    key: Key
    was: Status | None  # None: there is no entry
    entry: Entry | None  # None: the row with this key is deleted
    why: str


def decide(facts: Facts) -> list[Repair]:
    """Return every repair that a restored ledger needs, ordered by team and request id."""
    known = {*facts.entries, *facts.jobs, *facts.letters}
    repairs = [
        repair
        for key in sorted(known - facts.unreadable - _expired(facts))
        if (repair := _repair(key, facts))
    ]
    return repairs + list(_orphans(facts, repairs))


def _repair(key: Key, facts: Facts) -> Repair | None:
    entry, job = facts.entries.get(key), facts.jobs.get(key)
    if entry is None:
        return _lost(key, facts)
    if job is None and not facts.unread.isdisjoint(places_of(entry)):
        return None
    if job and job.number < len(entry.earlier):
        job = None  # it was preempted, and its request resumes
    if job and (repair := _by_job(entry, job)):
        return repair
    if job is None and entry.status.active:
        return _not_created(entry, facts.now)
    return _missing_rows(entry, facts)


def _lost(key: Key, facts: Facts) -> Repair | None:
    """Return the repair of a request that has no entry."""
    job = facts.jobs.get(key)
    if job:
        why = f"{job.name} has its tags"
        return Repair(kind=Kind.RESTORE, key=key, was=None, entry=_from_job(job), why=why)
    # A request that was sent again after its rejection may run on a target that was not read.
    return None if facts.unread else _rejected(facts.letters[key], facts.now)


def _by_job(entry: Entry, job: TaggedJob) -> Repair | None:
    """Return the repair of an entry that does not say what its tuning job does."""
    there = _with_job(entry, job)
    if job.target != entry.target:
        if entry.status.active and job.status.active:
            there = replace(there, status=entry.status)  # the next cycle handles stops
        why = f"{job.name} is {job.status} on {job.target}"
    elif not (_agree(entry.status, job.status) or _resumes(entry, job)):
        why = f"{job.name} is {job.status}"
    elif job.number > len(entry.earlier):
        why = f"it resumed as {job.name}"
    else:
        return None
    return _change(Kind.CORRECT, entry, there, why)


def places_of(entry: Entry) -> set[str]:
    """Return the targets on which there may be a tuning job that the ledger does not know ended."""
    return set() if entry.status.ended else {entry.target, *entry.targets}


def _expired(facts: Facts) -> set[Key]:
    """Return the requests without an entry that have left the ledger as intended."""
    before = facts.expired_before
    ended = {key: job.ended_at for key, job in facts.jobs.items() if key not in facts.entries}
    return {key for key, ended_at in ended.items() if before and ended_at and ended_at < before}


def _agree(ours: Status, sagemakers: Status) -> bool:
    """Return whether the states agree; the next cycle handles stops that are under way."""
    return ours is sagemakers or (ours.active and sagemakers.active)


def _resumes(entry: Entry, job: TaggedJob) -> bool:
    """Return whether the tuning job was preempted; the next cycle handles its end."""
    return entry.preempted_for is not None and job.number == len(entry.earlier)


def _change(kind: Kind, entry: Entry, becomes: Entry, why: str) -> Repair:
    return Repair(kind=kind, key=entry.key, was=entry.status, entry=becomes, why=why)


def _from_job(job: TaggedJob) -> Entry:
    """Return an entry for a request whose entry is lost; its message remains unknown."""
    bare = Entry(
        team=job.team,
        request_id=job.request_id,
        status=job.status,
        accepted_at=job.created_at,  # or earlier
        instances=job.instances,
        max_training_jobs=job.max_training_jobs + sum(each.ended for each in job.before),
        max_parallel=job.max_parallel,
        most_instance_seconds=job.most_instance_seconds,
        targets=(job.target,),
    )
    return _with_job(bare, job)


def _with_job(entry: Entry, job: TaggedJob) -> Entry:
    known = {each.tuning_job_name for each in entry.earlier}
    new = tuple(each for each in job.before if each.tuning_job_name not in known)
    earlier = (*entry.earlier, *new)
    return replace(
        entry,
        earlier=earlier,
        preempted_for=None,
        already_stopped=0,
        target=job.target,
        targets=entry.targets if job.target in entry.targets else (job.target,),
        instances=job.instances,
        max_parallel=job.max_parallel,
        most_instance_seconds=job.most_instance_seconds,
        status=job.status,
        tuning_job_name=job.name,
        started_at=job.created_at,
        ended_at=job.ended_at if job.status.ended else None,
        reason=job.failure_reason,
        counters=with_earlier(earlier, job.counters if job.status.ended else {}),
        best=job.best if job.status.ended else entry.best,
        blocked=False,
        on_hold=False,
    )


def _rejected(letter: Letter, now: datetime) -> Repair:
    entry = Entry(
        team=letter.team,
        request_id=letter.request_id,
        status=Status.REJECTED,
        accepted_at=now,
        ended_at=now,
        reason=letter.reason,
    )
    why = "its message is in the dead-letter queue"
    return Repair(kind=Kind.RESTORE, key=entry.key, was=None, entry=entry, why=why)


def _not_created(entry: Entry, now: datetime) -> Repair:
    """Return the repair of an active entry whose tuning job was never created."""
    why = "SageMaker has no tuning job for it"
    if entry.status is Status.STOPPING:
        reason = "cancelled before its tuning job was created"
        gone = replace(entry, status=Status.CANCELLED, ended_at=now, reason=reason)
        return _change(Kind.CORRECT, entry, gone, why)
    queued = replace(
        entry,
        status=Status.QUEUED,
        tuning_job_name="",
        started_at=None,
        reason="",
        counters=with_earlier(entry.earlier, {}),
    )
    return _change(Kind.REQUEUE, entry, queued, why)


def _missing_rows(entry: Entry, facts: Facts) -> Repair | None:
    uncounted = entry.status.active and facts.running.get(entry.job_name) != entry.target
    forgotten = _waits(entry) and entry.key not in facts.blocked
    if uncounted or forgotten:
        why = "its capacity is not counted" if uncounted else "what it waits for is not recorded"
        return _change(Kind.ROWS, entry, entry, why)
    return None


def _waits(entry: Entry) -> bool:
    return entry.status is Status.QUEUED and entry.blocked


def _orphans(facts: Facts, repairs: list[Repair]) -> Iterator[Repair]:
    """Yield the removal of rows that no entry accounts for after the repairs."""
    become = dict(facts.entries) | {each.key: each.entry for each in repairs if each.entry}
    counted = {entry.job_name for entry in become.values() if entry.status.active}
    kept = {
        tuning_job_name(*key, before)
        for key in facts.unreadable
        for before in range(MAX_PARENTS + 1)
    }
    handled = {each.entry.job_name for each in repairs if each.entry}
    known = {name for name, target in facts.running.items() if target not in facts.unread}
    for name in sorted(known - counted - kept - handled):
        why = "no active request accounts for this capacity"
        yield Repair(kind=Kind.REMOVE, key=("#active", name), was=None, entry=None, why=why)
    waiting = {key for key, entry in become.items() if _waits(entry)}
    for key in sorted(facts.blocked - waiting - facts.unreadable - {e.key for e in repairs}):
        why = "no request waits with these dependencies"
        where = ("#blocked", "/".join(key))
        yield Repair(kind=Kind.REMOVE, key=where, was=None, entry=None, why=why)
