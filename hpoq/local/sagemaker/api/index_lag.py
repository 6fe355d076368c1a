"""The time until Search and ListTags know a new job, which Describe knows at once."""

from __future__ import annotations

from typing import Any

from hpoq.local.sagemaker.ports import Clock
from hpoq.local.sagemaker.records import TUNING_JOB
from hpoq.local.sagemaker.store import Store

Record = dict[str, Any]


class IndexLag:
    """The new jobs that Search and ListTags do not know yet.

    Args:
        store: the jobs.
        seconds: from the creation of a job.
        clock: seconds since the epoch.
    """

    def __init__(self, store: Store, seconds: float, clock: Clock) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock

    def hides(self, record: Record | None) -> bool:
        """Return whether a job is too new."""
        return record is not None and self._clock() < record["CreationTime"] + self._seconds

    def hides_arn(self, arn: str) -> bool:
        """Return whether the job with this ARN is too new."""
        if not self._seconds:
            return False
        _, _, resource = arn.rpartition(":")
        kind, _, name = resource.partition("/")
        jobs = self._store.tuning_jobs if kind == TUNING_JOB else self._store.training_jobs
        return self.hides(jobs.get(name))
