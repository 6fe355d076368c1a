"""A simulated SageMaker in virtual time, whose jobs run as the workload specifies."""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hpo_dispatcher.aws.sagemaker import PAGE, SEARCHED_AT_ONCE
from hpo_dispatcher.contract.aws_limits import TRAINING_JOBS, TUNING_JOBS_QUOTA, QuotaExceeded
from hpo_dispatcher.contract.entry import BestTrainingJob, Key, Status
from hpo_dispatcher.contract.names import TAG_REQUEST_ID, TAG_TEAM
from hpo_dispatcher.ports import (
    AlreadyOurs,
    AtLimit,
    Created,
    Creation,
    NameTaken,
    TuningJob,
    TuningJobDetail,
)
from hpo_dispatcher.scheduling.snapshot import with_totals
from hpo_dispatcher.tuning_job.api.search_space import training_jobs_of
from hpo_dispatcher.tuning_job.usage import instances_of

COUNTED_LISTS = 2  # one list per status that holds capacity
STOPPING_TAKES = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class SimulatedRun:
    """The duration of a simulated tuning job, and whether it fails."""

    seconds: float
    fails: bool = False


@dataclass
class SimulatedJob:
    """A simulated tuning job."""

    name: str
    key: Key | None  # None: created outside the queue
    began: datetime
    ends: datetime
    instances: Mapping[str, int]
    ends_as: Status = Status.COMPLETED
    status: Status = Status.IN_PROGRESS
    training_jobs: int = 1
    parallel: int = 1
    counters: Mapping[str, int] = field(default_factory=dict)  # set when it stops or ends

    def completed(self, now: datetime) -> int:
        """Return the number of completed training jobs, which run in rounds of equal length."""
        rounds = -(-self.training_jobs // self.parallel)
        length = (self.ends - self.began) / rounds
        done = int((now - self.began) / length) if length else rounds
        return min(self.training_jobs, done * self.parallel)

    def stop(self, now: datetime) -> None:
        """Begin to stop; running training jobs are interrupted."""
        completed = self.completed(now)
        interrupted = min(self.parallel, self.training_jobs - completed)
        self.counters = {"Completed": completed, "Stopped": interrupted}
        self.status, self.ends_as = Status.STOPPING, Status.STOPPED
        self.ends = min(self.ends, now + STOPPING_TAKES)

    def end(self, now: datetime, status: Status | None) -> None:
        """End now at the latest, with a status other than the expected one if given."""
        self.ends = min(self.ends, now)
        self.status = status or self.ends_as
        if self.status is Status.COMPLETED and not self.counters:
            self.counters = {"Completed": self.training_jobs}


class SimulatedSageMaker:
    """A ``TuningService`` over simulated jobs.

    The class is long because the port's methods and virtual time share the state of the jobs.

    Args:
        clock: virtual time.
        run_of: how the tuning job of a request will run.
        limit: tuning jobs at once; one more is rejected, as SageMaker does.
        quotas: instances at once by type. In SageMaker, training jobs beyond a quota wait or
            fail; here they are only counted, in ``beyond_quota``.
        before_read: called before each list and describe call, to simulate the API's rate.
        search_delay: how long Search takes to show a change.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        run_of: Callable[[Key], SimulatedRun],
        limit: int,
        quotas: Mapping[str, int],
        *,
        before_read: Callable[[], None] = lambda: None,
        search_delay: timedelta = timedelta(0),
    ) -> None:
        self._clock = clock
        self.run_of = run_of
        self.limit = limit
        self._quotas = quotas
        self._before_read = before_read
        self.search_delay = search_delay
        self._lock = threading.Lock()
        self.running: dict[str, SimulatedJob] = {}
        self.ended: dict[str, SimulatedJob] = {}
        self.created: dict[str, Mapping[str, Any]] = {}  # requests, by name
        self.held: Counter[str] = Counter()  # instances in use, and their totals
        self._ends: list[tuple[datetime, str]] = []
        self.peak = 0
        self.beyond_quota = 0
        self.calls: Counter[str] = Counter()

    def next_end(self) -> datetime | None:
        """Return when the next job ends; None if no job runs."""
        while self._ends and not self._still_ends(*self._ends[0]):
            heapq.heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def end_due(self) -> list[SimulatedJob]:
        """End every job that is due."""
        now, over = self._clock(), []
        while (end := self.next_end()) and end <= now:
            over.append(self.end(self._ends[0][1]))
        return over

    def end(self, name: str, status: Status | None = None) -> SimulatedJob:
        """End a job now, whenever it would have ended."""
        with self._lock:
            job = self.running.pop(name)
            job.end(self._clock(), status)
            self.ended[name] = job
            self.held.subtract(with_totals(job.instances))
        return job

    def start_of_others(self, name: str, instances: Mapping[str, int], seconds: float) -> bool:
        """Create a tuning job outside the queue; return False if the account is full."""
        with self._lock:
            if len(self.running) >= self.limit:
                return False
            self._begin(name, None, instances, SimulatedRun(seconds=seconds))
        return True

    def _still_ends(self, end: datetime, name: str) -> bool:
        return name in self.running and self.running[name].ends == end

    def _begin(
        self, name: str, key: Key | None, instances: Mapping[str, int], run: SimulatedRun
    ) -> SimulatedJob:
        now = self._clock()
        job = SimulatedJob(
            name=name,
            key=key,
            began=now,
            ends=now + timedelta(seconds=run.seconds),
            instances=instances,
            ends_as=Status.FAILED if run.fails else Status.COMPLETED,
        )
        self.running[name] = job
        heapq.heappush(self._ends, (job.ends, name))
        self.held.update(with_totals(instances))
        self.peak = max(self.peak, len(self.running))
        return job

    def in_progress(self) -> Sequence[TuningJob]:
        """Return every tuning job of the account that uses capacity, from all pages."""
        self._before_read()
        with self._lock:
            pages = max(1, -(-len(self.running) // PAGE))
            self.calls["sagemaker:List"] += pages + COUNTED_LISTS - 1
            return [TuningJob(name=job.name, status=job.status) for job in self.running.values()]

    def describe(self, name: str) -> TuningJobDetail | None:
        """Return one tuning job, or None if it does not exist."""
        self._before_read()
        with self._lock:
            self.calls["sagemaker:Describe"] += 1
            job = self.running.get(name) or self.ended.get(name)
        return _detail(job) if job else None

    def search_ended(self, names: Sequence[str]) -> Mapping[str, TuningJobDetail]:
        """Return those of the named tuning jobs that are known to have ended, in few calls."""
        calls = -(-len(names) // SEARCHED_AT_ONCE)
        for _ in range(calls):
            self._before_read()
        with self._lock:
            self.calls["sagemaker:Search"] += calls
            indexed = self._clock() - self.search_delay
            ended = [self.ended[name] for name in names if name in self.ended]
        return {job.name: _detail(job) for job in ended if job.ends <= indexed}

    def trained(self, names: Sequence[str]) -> Mapping[str, datetime]:
        """Return nothing: no simulated tuning job is deleted, so one that is gone never ran."""
        self.calls["sagemaker:Search"] += len(names)
        return {}

    def instances(self, name: str) -> Mapping[str, int]:
        """Return the maximum of instances a tuning job uses at once, by instance type."""
        self._before_read()
        with self._lock:
            self.calls["sagemaker:Describe"] += 1
            return self.running[name].instances if name in self.running else {}

    def create(self, api_request: Mapping[str, Any]) -> Creation:
        """Create one tuning job."""
        name = api_request["HyperParameterTuningJobName"]
        key = _key_of(api_request)
        with self._lock:
            self.calls["sagemaker:Create"] += 1
            there = self.running.get(name) or self.ended.get(name)
            if there:
                return AlreadyOurs() if there.key == key else NameTaken("another owner")
            if len(self.running) >= self.limit:
                return _at_limit(self.limit, len(self.running))
            instances = instances_of(dict(api_request))
            job = self._begin(name, key, instances, self.run_of(key))
            limits = api_request["HyperParameterTuningJobConfig"]["ResourceLimits"]
            job.training_jobs = training_jobs_of(dict(api_request)) or TRAINING_JOBS
            job.parallel = limits["MaxParallelTrainingJobs"]
            self.created[name] = api_request
            used = with_totals(instances)
            self.beyond_quota += any(self.held[n] > self._quotas.get(n, self.held[n]) for n in used)
        return Created()

    def stop(self, name: str) -> bool:
        """Ask a tuning job to stop."""
        with self._lock:
            self.calls["sagemaker:Stop"] += 1
            job = self.running.get(name)
            if job and job.status is Status.IN_PROGRESS:
                job.stop(self._clock())
                heapq.heappush(self._ends, (job.ends, name))
            return job is not None

    def model_uri(self, training_job_name: str) -> str | None:
        """Return where the model of a training job is in S3; None if it has none."""
        with self._lock:
            self.calls["sagemaker:DescribeTrainingJob"] += 1
        return f"s3://simulated/{training_job_name}/output/model.tar.gz"


def _key_of(api_request: Mapping[str, Any]) -> Key:
    tags = {tag["Key"]: tag["Value"] for tag in api_request["Tags"]}
    return tags[TAG_TEAM], tags[TAG_REQUEST_ID]


def _at_limit(limit: int, in_use: int) -> AtLimit:
    quota = QuotaExceeded(name=TUNING_JOBS_QUOTA, limit=limit, in_use=in_use, requested=1)
    return AtLimit(f"{limit} tuning jobs are running", quota)


def _detail(job: SimulatedJob) -> TuningJobDetail:
    return TuningJobDetail(
        name=job.name,
        status=job.status,
        counters=job.counters,
        best=_best(job) if job.counters.get("Completed") else None,
        ended_at=job.ends if job.status.ended else None,
        failure_reason="simulated failure" if job.status is Status.FAILED else "",
    )


def _best(job: SimulatedJob) -> BestTrainingJob:
    return BestTrainingJob(
        name=f"{job.name}-001",
        objective=float(job.counters["Completed"]),
        metric="m",
        hyperparameters={},
    )
