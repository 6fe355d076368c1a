"""The ports to SageMaker's tuning jobs and to the account's quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.entry import BestTrainingJob, Status


@dataclass(frozen=True, kw_only=True)
class TuningJob:
    """A tuning job that uses capacity, as the list of tuning jobs shows it."""

    name: str
    status: Status  # InProgress or Stopping
    parallel: int = 1  # maximum of training jobs at once
    training_jobs_left: int | None = None  # training jobs that have not ended; None: unknown

    def in_use(self, instances: Mapping[str, int]) -> Mapping[str, int]:
        """Return how many of its instances the tuning job can still use (docs/decisions/0009).

        A tuning job with fewer training jobs left than may run at once never uses all of its
        instances again.

        Args:
            instances: instance type to the number of instances at full parallelism.
        """
        left = self.training_jobs_left
        if left is None or left >= self.parallel:
            return instances
        return {each: -(-n * left // self.parallel) for each, n in instances.items()}


@dataclass(frozen=True, kw_only=True)
class TuningJobDetail:
    """A tuning job as SageMaker describes it."""

    name: str
    status: Status
    counters: Mapping[str, int]
    best: BestTrainingJob | None
    ended_at: datetime | None
    failure_reason: str
    minimize: bool = False  # True: a smaller objective is better
    deleted: bool = False  # it ended and is being deleted: no tuning job can resume from it


@dataclass(frozen=True)
class Created:
    """The tuning job was created."""


@dataclass(frozen=True)
class AlreadyOurs:
    """The tuning job existed with our request id: an earlier attempt created it."""


@dataclass(frozen=True)
class NameTaken:
    """The name belongs to a tuning job of another owner."""

    owner: str


@dataclass(frozen=True)
class NotYetVisible:
    """A tuning job has the name, but SageMaker does not show it yet."""

    owner: str  # right if SageMaker never shows it


@dataclass(frozen=True)
class Untagged:
    """A tuning job has the name, whose tags may only be late."""

    owner: str  # right if it never has tags


@dataclass(frozen=True)
class AtLimit:
    """SageMaker refused for lack of capacity: the request waits and does not fail."""

    message: str
    quota: QuotaExceeded | None = None  # None: the message does not say which


@dataclass(frozen=True)
class AccountFault:
    """SageMaker refused because of the account, such as a role or a bucket: the request waits."""

    message: str


@dataclass(frozen=True)
class Refused:
    """SageMaker rejected the request; retrying will not help."""

    message: str


Taken = NameTaken | NotYetVisible | Untagged
Creation = Created | AlreadyOurs | Taken | AtLimit | AccountFault | Refused


class TuningService(Protocol):
    """SageMaker's tuning jobs. Every method may raise ``Unavailable``."""

    def in_progress(self) -> Sequence[TuningJob]:
        """Return every tuning job of the account that uses capacity, from all pages."""

    def describe(self, name: str) -> TuningJobDetail | None:
        """Return one tuning job, or None if it does not exist."""

    def search_ended(self, names: Sequence[str]) -> Mapping[str, TuningJobDetail]:
        """Return those of the named tuning jobs that are known to have ended, in few calls.

        A tuning job that ended a moment ago may be missing; ``describe`` is always up to date.
        """

    def trained(self, names: Sequence[str]) -> Mapping[str, datetime]:
        """Return when the latest training job of each named tuning job was created, if any was.

        Training jobs remain when their tuning job is deleted. One that was created a moment ago may
        be missing.
        """

    def instances(self, name: str) -> Mapping[str, int]:
        """Return the maximum of instances a tuning job uses at once, by type and purchase option.

        The answer is empty if the tuning job does not exist.
        """

    def create(self, api_request: Mapping[str, Any]) -> Creation:
        """Create one tuning job."""

    def stop(self, name: str) -> bool:
        """Ask a tuning job to stop; return False if it does not exist or has ended."""

    def model_uri(self, training_job_name: str) -> str | None:
        """Return where the model of a training job is in S3; None if it has none."""


class Quotas(Protocol):
    """AWS's quotas of the account."""

    def training_instances(self, max_age: timedelta) -> Mapping[str, int]:
        """Return the quotas of training instances, older only if they cannot be read.

        By instance type and purchase option, and over all types, as ``aws_limits.resource_of``
        names them.
        """
