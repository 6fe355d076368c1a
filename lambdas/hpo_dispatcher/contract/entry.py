"""A ledger entry: the request as accepted, and what happened to it since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated

from pydantic import PlainSerializer

from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.targets.resources import HOME

Key = tuple[str, str]  # team and request id, unique in a deployment

MINUTE = 60  # seconds
HOUR = 3600  # seconds
_HIGHEST_PRIORITY = 1000
UNKNOWN = "an earlier hpoq started it"


class Status(StrEnum):
    """The state of a request: hpoq's words before a tuning job exists, SageMaker's after."""

    QUEUED = "Queued"
    IN_PROGRESS = "InProgress"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"  # never started
    REJECTED = "Rejected"

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self not in (Status.QUEUED, Status.IN_PROGRESS, Status.STOPPING)

    @property
    def active(self) -> bool:
        """Whether a tuning job uses capacity, or is about to."""
        return self in (Status.IN_PROGRESS, Status.STOPPING)


@dataclass(frozen=True, kw_only=True)
class BestTrainingJob:
    """The best training job of a tuning job, by its objective metric."""

    name: str
    objective: float
    metric: str
    hyperparameters: Mapping[str, str]  # as searched; strings, as the API has them


@dataclass(frozen=True, kw_only=True)
class EarlierJob:
    """A preempted tuning job of a request, and how much of it was done."""

    tuning_job_name: str
    counters: Mapping[str, int]  # training jobs that ended by themselves: not run again
    interrupted: int  # training jobs that the preemption stopped: run again
    seconds: int  # run time
    instance_seconds: int  # instance-seconds used
    found: bool  # it has an objective value, so that other tuning jobs can start warm from it

    @property
    def ended(self) -> int:
        """The number of training jobs that are not run again."""
        return sum(self.counters.values())

    @property
    def launched(self) -> int:
        """The number of training jobs that SageMaker counts for a warm start parent."""
        return self.ended + self.interrupted


def unreadable(key: Key, error: Exception) -> Unreadable:
    """Return the error for a damaged row of the ledger."""
    problem = f"cannot be read ({type(error).__name__}: {str(error).splitlines()[0]})"
    return Unreadable(f"ledger row {'/'.join(key)}", problem, "Restore it, see docs/runbook.md")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A request in the ledger."""

    team: str
    request_id: str
    status: Status
    accepted_at: datetime  # when SQS accepted the message; UTC
    request_json: str = ""  # canonical; empty: rejected unread, or cancelled before it arrived
    template: str = ""
    priority: int = 0
    instances: Mapping[str, int] = field(default_factory=dict)  # type -> used while it runs
    max_training_jobs: int = 0
    max_parallel: int = 0
    most_instance_seconds: int = 0  # what its tuning job can use; 0 in entries of old versions
    expected_seconds: int = 0  # of its whole run, as the request says; 0: it does not say
    # Minutes of waiting that count as one level of priority; 0: priority always comes first.
    priority_aging_minutes: int = 0
    tuning_job_name: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""  # why it waits, failed or was rejected
    counters: Mapping[str, int] = field(default_factory=dict)  # TrainingJobStatusCounters
    best: BestTrainingJob | None = None
    blocked: bool = False  # queued, but not in its team's queue: parents have not ended
    on_hold: bool = False  # queued, but not in its team's queue: its team has paused it
    resume_blocker: str = UNKNOWN  # why it could not resume after a preemption; empty: it could
    earlier: tuple[EarlierJob, ...] = ()  # its preempted tuning jobs
    preempted_for: Key | None = None  # it is being stopped for this request, and resumes later
    already_stopped: int = 0  # training jobs that were Stopped before the preemption
    targets: tuple[str, ...] = (HOME,)  # on which it may run
    target: str = HOME  # of its current or latest tuning job

    @cached_property
    def request(self) -> TuningRequest | None:
        """The request, parsed when first used: most cycles read many heads and start few.

        Raises:
            Unreadable: the row is damaged.
        """
        if not self.request_json:
            return None
        try:
            return TuningRequest.model_validate_json(self.request_json)
        except ValueError as error:  # pydantic's errors are ValueErrors
            raise unreadable(self.key, error) from None

    @property
    def key(self) -> Key:
        """Team and request id, unique in a deployment."""
        return self.team, self.request_id

    @property
    def allowed_targets(self) -> tuple[str, ...]:
        """The targets on which its next tuning job may run.

        A tuning job that resumes it starts warm from the earlier ones, which are on its target.
        """
        return (self.target,) if self.earlier else self.targets

    @property
    def in_queue(self) -> bool:
        """Whether the request is in its team's queue."""
        return self.status is Status.QUEUED and not (self.blocked or self.on_hold)

    @property
    def refused(self) -> bool:
        """Whether SageMaker refused it while it was queued; a resumed one has another reason."""
        return bool(self.reason) and not self.earlier

    @property
    def job_name(self) -> str:
        """The name of its current or next tuning job."""
        return tuning_job_name(self.team, self.request_id, len(self.earlier))

    @property
    def training_jobs_left(self) -> int:
        """The maximum of training jobs of its current or next tuning job."""
        return self.max_training_jobs - sum(job.ended for job in self.earlier)

    @property
    def rounds(self) -> int:
        """The number of rounds in which its training jobs run, at full parallelism."""
        return -(-self.training_jobs_left // max(1, self.max_parallel)) or 1

    @property
    def expected_seconds_left(self) -> int:
        """How long its current or next tuning job will probably run; 0: its request does not say.

        It cannot run longer than the maximum run times of its training jobs allow.
        """
        left = self.training_jobs_left / max(1, self.max_training_jobs)
        seconds = round(self.expected_seconds * min(1.0, left))
        most = self.most_seconds
        return min(seconds, round(most)) if most else seconds

    @property
    def most_seconds(self) -> float:
        """How long its tuning job can run: SageMaker enforces it; 0 in entries of old versions."""
        return self.most_instance_seconds / max(1, sum(self.instances.values()))

    @property
    def queue_sort_key(self) -> str:
        """The key that orders its team's queue."""
        return queue_sort_key(
            self.priority, self.accepted_at, self.request_id, self.priority_aging_minutes
        )


@dataclass(frozen=True, kw_only=True)
class BlockedEntry:
    """A queued request that waits for others, and which ones."""

    team: str
    request_id: str
    after: tuple[str, ...]
    warm_start_from: tuple[str, ...]
    request: TuningRequest | None = None

    @classmethod
    def of(cls, entry: Entry) -> BlockedEntry:
        """Return what a blocked entry waits for, without its request."""
        request = entry.request
        return cls(
            team=entry.team,
            request_id=entry.request_id,
            after=request.after if request else (),
            warm_start_from=request.warm_start_from if request else (),
        )

    @property
    def key(self) -> Key:
        """Team and request id of its entry."""
        return self.team, self.request_id

    @property
    def parents(self) -> tuple[str, ...]:
        """The requests that have to end first, each once."""
        return tuple(dict.fromkeys((*self.after, *self.warm_start_from)))


@dataclass(frozen=True, kw_only=True)
class RunningEntry:
    """An entry whose tuning job uses capacity, reduced to what planning needs."""

    tuning_job_name: str
    team: str
    request_id: str
    status: Status  # InProgress or Stopping
    instances: Mapping[str, int]
    started_at: datetime
    template: str = ""
    rounds: int = 1
    most_instance_seconds: int = 0
    expected_seconds: int = 0  # as the request says; 0: it does not say
    priority: int = 0
    resume_blocker: str = UNKNOWN
    resumed: bool = False  # not the first tuning job of its entry
    preempted_for: Key | None = None
    already_stopped: int = 0
    target: str = HOME

    @classmethod
    def of(cls, entry: Entry) -> RunningEntry:
        """Reduce an entry that is in progress or stopping."""
        return cls(
            tuning_job_name=entry.job_name,
            team=entry.team,
            request_id=entry.request_id,
            status=entry.status,
            instances=entry.instances,
            started_at=entry.started_at or entry.accepted_at,
            template=entry.template,
            rounds=entry.rounds,
            most_instance_seconds=entry.most_instance_seconds,
            expected_seconds=entry.expected_seconds_left,
            priority=entry.priority,
            resume_blocker=entry.resume_blocker,
            resumed=bool(entry.earlier),
            preempted_for=entry.preempted_for,
            already_stopped=entry.already_stopped,
            target=entry.target,
        )

    @property
    def most_seconds(self) -> float:
        """How long the tuning job can run: SageMaker enforces it; 0 in entries of old versions."""
        return self.most_instance_seconds / max(1, sum(self.instances.values()))

    @property
    def key(self) -> Key:
        """Team and request id of its entry."""
        return self.team, self.request_id


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a tuning job used of its team's budget."""

    team: str
    month: str  # in which it started
    instance_seconds: int


def month_of(at: datetime) -> str:
    """Return the month of a moment in UTC, as budgets name it: 2026-01."""
    return f"{at.astimezone(UTC):%Y-%m}"


def timestamp(at: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds, which sorts as text as it does in time."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# A moment that JSON shows as ``timestamp`` does.
Moment = Annotated[datetime, PlainSerializer(timestamp, when_used="json")]


def queue_sort_key(
    priority: int, accepted_at: datetime, request_id: str, aging_minutes: int = 0
) -> str:
    """Return the key that orders a team's queue: higher priority first, then older, then id.

    With aging, a level of priority counts as much as so many minutes of waiting. All requests wait
    equally fast, so the order of two requests never changes: a request is placed as if it had
    priority 0 and had been accepted that much earlier. So the key stays valid while it waits.
    """
    if aging_minutes:
        accepted_at -= timedelta(minutes=aging_minutes * priority)
        priority = 0
    return f"{_HIGHEST_PRIORITY - priority:04d}#{timestamp(accepted_at)}#{request_id}"


def behind_priority_of(sort_key: str) -> str:
    """Return the key before all requests with less priority than the one with this sort key."""
    level, _, _ = sort_key.partition("#")
    return f"{int(level) + 1:04d}"
