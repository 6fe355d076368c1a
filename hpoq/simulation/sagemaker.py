"""A model of SageMaker in virtual time: jobs that take as long as their workload says."""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hpo_dispatcher.entry import Status
from hpo_dispatcher.ports import (
    AlreadyOurs,
    AtLimit,
    Created,
    Creation,
    TuningJob,
    TuningJobDetail,
)
from hpo_dispatcher.tuning_job import TAG_REQUEST_ID, TAG_TEAM, demand

PAGE = 100
COUNTED_LISTS = 2  # one list per status that holds capacity


@dataclass
class SimulatedJob:
    """A tuning job of the model."""

    name: str
    key: tuple[str, str]
    began: datetime
    ends: datetime
    instances: Mapping[str, int]
    status: Status = Status.IN_PROGRESS


class SimulatedSageMaker:
    """``TuningService``.

    Args:
        clock: virtual time.
        seconds: how long the tuning job of a team's request runs.
        limit: tuning jobs at once; one more is refused, as SageMaker does.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        seconds: Callable[[tuple[str, str]], float],
        limit: int,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._limit = limit
        self._lock = threading.Lock()
        self.running: dict[str, SimulatedJob] = {}
        self.ended: dict[str, SimulatedJob] = {}
        self._ends: list[tuple[datetime, str]] = []
        self.peak = 0
        self.calls: Counter[str] = Counter()

    def next_end(self) -> datetime | None:
        """When the next job ends."""
        return self._ends[0][0] if self._ends else None

    def end_due(self) -> list[SimulatedJob]:
        """End every job whose time has come."""
        now, over = self._clock(), []
        while self._ends and self._ends[0][0] <= now:
            _, name = heapq.heappop(self._ends)
            job = self.running.pop(name)
            job.status = Status.COMPLETED
            self.ended[name] = job
            over.append(job)
        return over

    def in_progress(self) -> Sequence[TuningJob]:
        """See ``TuningService``."""
        with self._lock:
            pages = max(1, -(-len(self.running) // PAGE))
            self.calls["sagemaker:List"] += pages + COUNTED_LISTS - 1
            return [TuningJob(name=job.name, status=job.status) for job in self.running.values()]

    def describe(self, name: str) -> TuningJobDetail | None:
        """See ``TuningService``."""
        with self._lock:
            self.calls["sagemaker:Describe"] += 1
            job = self.running.get(name) or self.ended.get(name)
        if job is None:
            return None
        return TuningJobDetail(
            name=name,
            status=job.status,
            counters={"Completed": 1} if job.status.ended else {},
            best=None,
            ended_at=job.ends if job.status.ended else None,
            failure_reason="",
        )

    def instances(self, name: str) -> Mapping[str, int]:
        """See ``TuningService``."""
        with self._lock:
            self.calls["sagemaker:Describe"] += 1
            return self.running[name].instances if name in self.running else {}

    def create(self, api_request: Mapping[str, Any]) -> Creation:
        """See ``TuningService``."""
        name = api_request["HyperParameterTuningJobName"]
        tags = {tag["Key"]: tag["Value"] for tag in api_request["Tags"]}
        key = tags[TAG_TEAM], tags[TAG_REQUEST_ID]
        with self._lock:
            self.calls["sagemaker:Create"] += 1
            if name in self.running or name in self.ended:
                return AlreadyOurs()
            if len(self.running) >= self._limit:
                return AtLimit(f"{self._limit} tuning jobs are running")
            now = self._clock()
            job = SimulatedJob(
                name=name,
                key=key,
                began=now,
                ends=now + timedelta(seconds=self._seconds(key)),
                instances=demand(dict(api_request)).instances,
            )
            self.running[name] = job
            heapq.heappush(self._ends, (job.ends, name))
            self.peak = max(self.peak, len(self.running))
        return Created()

    def stop(self, name: str) -> bool:
        """See ``TuningService``."""
        with self._lock:
            self.calls["sagemaker:Stop"] += 1
            return name in self.running
