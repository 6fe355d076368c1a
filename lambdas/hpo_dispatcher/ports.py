"""What a dispatch cycle needs of the world; each protocol has an AWS and an in-memory adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Protocol

from hpo_dispatcher.contract.entry import ActiveJob, BestTrainingJob, Blocked, Entry, Spent, Status
from hpo_dispatcher.contract.errors import HpoqError, InvalidRequest


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A received message; invisible to other receivers until deleted or timed out."""

    team: str  # the queue it came from, never what it says
    message_id: str
    receipt: str
    body: str
    sent_at: datetime  # when SQS accepted it; UTC


MESSAGES_AT_ONCE = 10  # SQS: per receive and per batch delete


class RequestQueues(Protocol):
    """The teams' queues and the dead-letter queue behind each."""

    def receive(self, team: str, *, wait: bool = True) -> Sequence[Envelope]:
        """The next messages, ``MESSAGES_AT_ONCE`` at most.

        Args:
            team: whose queue.
            wait: be sure: then the answer is empty only if the queue has none to give. Without,
                it comes at once, and what SQS has elsewhere is not in it.
        """

    def delete(self, envelopes: Sequence[Envelope]) -> None:
        """Forget messages of one team; repeating is harmless."""

    def reject(self, team: str, message_id: str, body: str, error: InvalidRequest) -> None:
        """Put a body into the team's dead-letter queue, the reason as message attributes."""


class LeaseLost(HpoqError):
    """Another dispatcher took over; this one must not start anything more."""


class LedgerMissing(HpoqError):
    """There is no ledger to write to: no cycle may go on, and none can."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to start tuning jobs, until it expires."""

    holder: str
    until: datetime
    last_cycle: datetime | None  # when the last complete cycle began; UTC


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The final state of an entry, and the states it may replace."""

    team: str
    request_id: str
    was: tuple[Status, ...]
    status: Status
    ended_at: datetime
    tuning_job_name: str = ""
    reason: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)
    best: BestTrainingJob | None = None
    spent: Spent | None = None  # counted with it, and once only
    made_room: bool = False  # it was stopping for another one, which the entry must still say
    goes_on: Entry | None = None  # no final state after all: the entry as it is queued again

    @property
    def key(self) -> tuple[str, str]:
        """Team and request id."""
        return self.team, self.request_id


@dataclass(frozen=True, kw_only=True)
class MakesRoom:
    """A running tuning job that is about to be stopped, so that another request can start."""

    team: str
    request_id: str
    tuning_job_name: str
    room_for: tuple[str, str]  # team and request id
    stopped: int  # of its training jobs; they have ended, those stopped from now on have not

    @property
    def key(self) -> tuple[str, str]:
        """Team and request id."""
        return self.team, self.request_id


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """All of a team's requests in line."""

    count: int
    oldest: datetime | None  # when the first of them was accepted; UTC


class Added(Enum):
    """What became of an entry offered to the ledger."""

    NEW = auto()
    REPEATED = auto()  # the same request again
    CANCELLED = auto()  # its cancel came first
    TAKEN = auto()  # the id belongs to another request


class Ledger(Protocol):
    """The requests of all teams; every write is conditional on what it replaces.

    Every method may raise ``Unavailable``, and ``LedgerMissing`` once the ledger is gone.
    """

    def acquire_lease(self, holder: str, now: datetime, until: datetime) -> Lease | None:
        """Become the one dispatcher; None while another's lease has not expired."""

    def release_lease(self, holder: str, cycle_began: datetime | None) -> bool:
        """Give the lease back.

        Args:
            holder: a lease that was lost meanwhile is left alone.
            cycle_began: when a complete cycle began; None if it was cut short.

        Returns:
            True if somebody asked for a cycle after ``cycle_began``.
        """

    def ask_for_cycle(self, now: datetime) -> None:
        """Tell whoever holds the lease to look again before giving it back."""

    def add(self, entries: Sequence[Entry]) -> Sequence[Added]:
        """Put new entries; one that was ``Rejected`` may be replaced."""

    def get(self, team: str, request_id: str) -> Entry | None:
        """One entry, read consistently.

        Raises:
            Unreadable: there is one, which this version cannot read.
        """

    def heads(self, team: str, count: int) -> Sequence[Entry]:
        """The first queued entries of a team's line; may lag behind the latest writes."""

    def backlog(self, team: str) -> Backlog:
        """How long a team's line is; reads all of it, so not for every cycle."""

    def get_all(self, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Entry]:
        """Those of the entries that exist, read consistently."""

    def blocked(self) -> Sequence[Blocked]:
        """All requests that wait for others to end, read consistently."""

    def unblock(self, team: str, request_id: str) -> bool:
        """Let a blocked request join its team's line. False: it was no longer blocked."""

    def set_priority(self, team: str, request_id: str, priority: int) -> Entry | None:
        """Move a queued request within its team's line. The entry as it was; None: not queued."""

    def hold(self, team: str, request_id: str) -> Entry | None:
        """Take a queued request out of the line. The entry as it was; None: it is not queued."""

    def release(self, team: str, request_id: str) -> Entry | None:
        """Put a held request back into the line. The entry as it was; None: it is not held."""

    def active(self) -> Sequence[ActiveJob]:
        """All that hold capacity, read consistently."""

    def start(
        self, entries: Sequence[Entry], holder: str, at: datetime
    ) -> Sequence[tuple[str, str]]:
        """Queued -> InProgress, before the tuning jobs are created.

        Returns:
            The keys of those that were still queued and in line, neither held nor blocked.

        Raises:
            LeaseLost: ``holder`` no longer has the lease; nothing more was started.
        """

    def requeue(self, entry: Entry, reason: str) -> bool:
        """InProgress -> Queued: no tuning job came of it. False: it was no longer so."""

    def stopping(self, entry: Entry) -> bool:
        """InProgress -> Stopping; what is stopping to make room does not go on after it.

        False: it was no longer so.
        """

    def make_room(self, jobs: Sequence[MakesRoom], holder: str) -> Sequence[tuple[str, str]]:
        """InProgress -> Stopping, before the tuning jobs are stopped; repeating renews it.

        Returns:
            The keys of those whose tuning jobs ran, or were stopping for this reason already.

        Raises:
            LeaseLost: ``holder`` no longer has the lease; nothing more was written.
        """

    def finish(self, endings: Sequence[Ending]) -> Sequence[tuple[str, str]]:
        """Write final states, and what goes on after all.

        Returns:
            The keys of those that were still in ``was``, with the same tuning job, and as
            ``made_room`` says.
        """

    def spent(self, month: str) -> Mapping[str, int]:
        """Instance-seconds that the ended requests started in a month have used, by team.

        Read consistently; teams of whom none has ended are left out.
        """

    def unreadable(self) -> Sequence[str]:
        """One line for each row met since the last call that another version of hpoq, or an
        accident, has made unreadable; such rows are passed over and left as they are."""

    def document(self, name: str) -> str | None:
        """A document of the deployment: settings, capacity."""

    def put_document(self, name: str, content: str) -> None:
        """Publish a document of the deployment to the teams."""


@dataclass(frozen=True, kw_only=True)
class TuningJob:
    """A tuning job that holds capacity, as the list shows it."""

    name: str
    status: Status  # InProgress or Stopping
    parallel: int = 1  # training jobs at once, at most
    left: int | None = None  # training jobs that have not ended yet; None: not told

    def in_use(self, instances: Mapping[str, int]) -> Mapping[str, int]:
        """Of the instances at full parallelism, those it can still use (docs/decisions/0009).

        Once fewer training jobs are left than may run at once, the others are never taken again.
        """
        if self.left is None or self.left >= self.parallel:
            return instances
        return {each: -(-n * self.left // self.parallel) for each, n in instances.items()}


@dataclass(frozen=True, kw_only=True)
class TuningJobDetail:
    """A tuning job as described."""

    name: str
    status: Status
    counters: Mapping[str, int]
    best: BestTrainingJob | None
    ended_at: datetime | None
    failure_reason: str
    minimize: bool = False  # the objective


@dataclass(frozen=True)
class Created:
    """The tuning job exists now."""


@dataclass(frozen=True)
class AlreadyOurs:
    """It existed, with our request id: an earlier attempt had come through."""


@dataclass(frozen=True)
class NameTaken:
    """The name belongs to a tuning job of somebody else."""

    owner: str


@dataclass(frozen=True)
class AtLimit:
    """SageMaker refused for lack of capacity: wait, do not fail."""

    message: str


@dataclass(frozen=True)
class Refused:
    """SageMaker will not have this request; repeating will not help."""

    message: str


Creation = Created | AlreadyOurs | NameTaken | AtLimit | Refused


class Unavailable(HpoqError):
    """A service did not answer usefully; whether the call took effect is unknown."""


class TuningService(Protocol):
    """SageMaker's tuning jobs. Every method may raise ``Unavailable``."""

    def in_progress(self) -> Sequence[TuningJob]:
        """Every tuning job of the account that holds capacity, all pages."""

    def describe(self, name: str) -> TuningJobDetail | None:
        """One tuning job; None if there is none of that name."""

    def search_ended(self, names: Sequence[str]) -> Mapping[str, TuningJobDetail]:
        """Those of these tuning jobs that are known to have ended, by name, in few calls.

        What ended a moment ago may be missing: ``describe`` knows.
        """

    def instances(self, name: str) -> Mapping[str, int]:
        """What a tuning job may hold at once, by instance type; empty if it is gone."""

    def create(self, api_request: Mapping[str, Any]) -> Creation:
        """Create one tuning job."""

    def stop(self, name: str) -> bool:
        """Ask a tuning job to stop. False: there is none, or it has ended."""


class Quotas(Protocol):
    """AWS's limits of the account."""

    def training_instances(self) -> Mapping[str, int]:
        """Instance type to the number of training instances at once; may be a day old."""


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """A request changed its state; published on the event bus."""

    team: str
    request_id: str
    status: Status
    previous_status: Status | None
    tuning_job_name: str = ""
    reason: str = ""
    at: datetime


class Events(Protocol):
    """The event bus; telling is best effort, the ledger is the truth."""

    def publish(self, changes: Sequence[StateChange]) -> None:
        """Publish state changes; failures are logged, not raised."""
