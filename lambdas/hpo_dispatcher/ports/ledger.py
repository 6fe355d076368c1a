"""The ports to the ledger: the cycle lock, the documents of a deployment, and the requests.

Every method may raise ``Unavailable``, and ``LedgerMissing`` once the ledger's table is gone.
Every write is conditional on the state it replaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from hpo_dispatcher.contract.entry import (
    BestTrainingJob,
    BlockedEntry,
    Entry,
    Key,
    RunningEntry,
    Spent,
    Status,
)
from hpo_dispatcher.contract.targets.resources import HOME


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to start tuning jobs, until it expires."""

    owner: str
    until: datetime
    last_cycle: datetime | None  # when the last complete cycle began; UTC


class Leases(Protocol):
    """The lock that lets one dispatch cycle run at a time."""

    def acquire(self, owner: str, now: datetime, until: datetime) -> Lease | None:
        """Take or renew the lease; return None while another owner's has not expired."""

    def release(self, owner: str, last_cycle: datetime | None) -> bool:
        """Give the lease back.

        Args:
            owner: who gives it back; another owner's lease is left alone.
            last_cycle: when a complete cycle began; None if the cycle was cut short.

        Returns:
            True if a cycle was asked for after ``last_cycle``.
        """

    def ask_for_cycle(self, now: datetime) -> bool:
        """Ask the lease's owner to run another cycle before releasing the lease.

        Returns:
            False if the lease is free, so that no owner will run the cycle.
        """


class Documents(Protocol):
    """The deployment's documents, such as its settings and the use of its capacity."""

    def get(self, name: str) -> str | None:
        """Return a document's content, or None if it does not exist."""

    def put(self, name: str, content: str) -> None:
        """Write a document, replacing what it said."""


class Added(Enum):
    """The outcome of adding an entry to the ledger."""

    NEW = auto()
    REPEATED = auto()  # the same request exists
    CANCELLED = auto()  # the request was cancelled before it arrived
    TAKEN = auto()  # the id belongs to a different request


class Entries(Protocol):
    """The ledger entries of all teams."""

    def add(self, entries: Sequence[Entry]) -> Sequence[Added]:
        """Add new entries; an entry replaces one that was ``Rejected``."""

    def get(self, team: str, request_id: str) -> Entry | None:
        """Return one entry, read consistently, or None if it does not exist.

        Raises:
            Unreadable: this version cannot read the entry.
        """

    def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
        """Return the entries that exist, read consistently."""

    def unreadable(self) -> Sequence[str]:
        """Return one line for each unreadable row met since the last call.

        Rows that a later version wrote, or that are damaged, are skipped and left unchanged.
        """


class QueuedRequests(Protocol):
    """The requests that wait to start."""

    def heads(self, team: str, count: int) -> Sequence[Entry]:
        """Return the first requests of a team's queue; may lag behind the latest writes."""

    def queued_from(self, team: str, sort_key: str, count: int) -> Sequence[Entry]:
        """Return requests of a team's queue from a sort key on; may lag behind as ``heads``."""

    def set_priority(self, team: str, request_id: str, priority: int) -> Entry | None:
        """Move a queued request within its team's queue.

        Returns:
            The entry before the change; None if it is not queued.
        """

    def hold(self, team: str, request_id: str) -> Entry | None:
        """Take a request out of its team's queue.

        Returns:
            The entry before the change; None if it is not queued.
        """

    def release(self, team: str, request_id: str) -> Entry | None:
        """Put a request that is on hold back into its team's queue.

        Returns:
            The entry before the change; None if it is not on hold.
        """

    def blocked(self, count: int | None = None) -> Sequence[BlockedEntry]:
        """Return requests that wait for others to end, read consistently.

        Args:
            count: return no more; None for all of them.
        """

    def blocked_of(self, team: str, after: str, count: int) -> Sequence[BlockedEntry]:
        """Return requests of one team that wait for others to end, read consistently.

        Args:
            team: the team.
            after: the first one has a greater request id.
            count: return no more.
        """

    def unblock(self, team: str, request_id: str, demand: Entry | None = None) -> bool:
        """Let a blocked request join its team's queue; return False if it was not blocked.

        Args:
            team: its team.
            request_id: its id.
            demand: an entry with what its tuning job will use, if the stored one lacks it.
        """


@dataclass(frozen=True, kw_only=True)
class Preemption:
    """A running tuning job that will be stopped so that another request can start."""

    team: str
    request_id: str
    tuning_job_name: str
    preempted_for: Key  # the request that gets the capacity
    already_stopped: int  # training jobs that were Stopped before: they are not run again
    target: str = HOME

    @property
    def key(self) -> Key:
        """Team and request id."""
        return self.team, self.request_id


class RunningRequests(Protocol):
    """The requests whose tuning jobs use capacity."""

    def running(self) -> Sequence[RunningEntry]:
        """Return all requests that use capacity, read consistently."""

    def start(self, entries: Sequence[Entry], owner: str, at: datetime) -> Sequence[Key]:
        """Write Queued -> InProgress, before the tuning jobs are created.

        Returns:
            The keys of the entries that were queued, neither on hold nor blocked.

        Raises:
            LeaseLost: ``owner`` no longer has the lease; nothing more was started.
        """

    def requeue(self, entry: Entry, reason: str, owner: str = "") -> bool:
        """Write InProgress -> Queued, because no tuning job was created.

        Args:
            entry: the entry as it was started.
            reason: why it waits.
            owner: of the lease. No other dispatcher can have tried to create the tuning job since
                this one wrote the start, so the request may run on another of its targets. Empty:
                it keeps to the target that it was promised to.

        Returns:
            False if the entry was no longer in progress.

        Raises:
            LeaseLost: ``owner`` no longer has the lease; nothing was written.
        """

    def stop(self, entry: Entry) -> bool:
        """Write InProgress -> Stopping; a preempted request does not resume after this.

        Returns:
            False if the entry was no longer running.
        """

    def preempt(self, jobs: Sequence[Preemption], owner: str) -> Sequence[Key]:
        """Write InProgress -> Stopping, before the tuning jobs are stopped; may be repeated.

        Returns:
            The keys of the entries that were running, or were being preempted already.

        Raises:
            LeaseLost: ``owner`` no longer has the lease; nothing more was written.
        """


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of an entry's tuning job, and the states it may replace."""

    team: str
    request_id: str
    was: tuple[Status, ...]
    status: Status
    ended_at: datetime
    tuning_job_name: str = ""
    reason: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)
    best: BestTrainingJob | None = None
    spent: Spent | None = None  # added to the team's budget once, with the ending
    preempted: bool = False  # the entry must still say that it is being preempted
    resumes_as: Entry | None = None  # the entry is queued again, as this one
    target: str = HOME  # of the tuning job

    @property
    def key(self) -> Key:
        """Team and request id."""
        return self.team, self.request_id


class FinishedRequests(Protocol):
    """The requests that have ended, and what they used."""

    def finish(self, endings: Sequence[Ending]) -> Sequence[Key]:
        """Write final states; queue preempted requests again.

        Returns:
            The keys of the entries that were still in ``was``, with the same tuning job and
            the same ``preempted``.
        """

    def spent(self, month: str) -> Mapping[str, int]:
        """Return the instance-seconds that ended requests started in a month used, by team.

        The answer is read consistently, and leaves out teams without ended requests.
        """


class Requests(Entries, QueuedRequests, RunningRequests, FinishedRequests, Protocol):
    """The requests of all teams."""
