"""The training jobs that belong to no tuning job."""

from __future__ import annotations

import logging
import threading
from typing import Any

from hpoq.local.sagemaker.errors import reason_of
from hpoq.local.sagemaker.ports import Clock
from hpoq.local.sagemaker.records import ACTIVE
from hpoq.local.sagemaker.state_changes import StateChanges
from hpoq.local.sagemaker.store import TrainingJobTable
from hpoq.local.sagemaker.training.status import failed_in_engine, stopped_before_start
from hpoq.local.sagemaker.training.training_jobs import TrainingJobs

Record = dict[str, Any]
logger = logging.getLogger(__name__)


class StandaloneJobs:
    """The training jobs that CreateTrainingJob creates."""

    def __init__(
        self,
        table: TrainingJobTable,
        training_jobs: TrainingJobs,
        state_changes: StateChanges,
        *,
        clock: Clock,
        lock: threading.RLock,
    ) -> None:
        self._table = table
        self._training_jobs = training_jobs
        self._state_changes = state_changes
        self._clock = clock
        self._lock = lock
        self._running: dict[str, Record] = {}

    @property
    def running(self) -> list[Record]:
        """The records of the jobs that have not ended. Callers hold the lock."""
        return list(self._running.values())

    def resume(self) -> None:
        """Start the jobs again that an earlier process left unfinished."""
        for record in self._table.with_status(ACTIVE):
            is_running = record["TrainingJobName"] in self._running
            if "_tuning_job" not in record and not is_running:
                with self._lock:
                    self._submit(record)

    def start(self, record: Record) -> None:
        """Start a new job that is stored already. Callers hold the lock."""
        self._submit(record)
        self._state_changes.announce_training_job(record)

    def fail_unstarted(self, record: Record, reason: str) -> None:
        """End a stored job that could not be started, unless it runs. Callers hold the lock."""
        if record["TrainingJobName"] not in self._running:
            self._end(failed_in_engine(record, reason, self._clock()))

    def _submit(self, record: Record) -> None:
        """Start a job, or let it fail with the reason why it cannot be started."""
        self._running[record["TrainingJobName"]] = record
        try:
            self._training_jobs.submit(self._run, record)
        except Exception as error:
            logger.exception("the training job %s was not started", record["TrainingJobName"])
            self._end(failed_in_engine(record, reason_of(error), self._clock()))

    def _run(self, record: Record) -> None:
        """Run a job to its end; called by a thread of the pool."""
        try:
            self._run_to_end(record)
        except Exception as error:
            logger.exception("the training job %s failed", record["TrainingJobName"])
            with self._lock:
                if self._training_jobs.is_open:
                    self._end(failed_in_engine(record, reason_of(error), self._clock()))

    def _run_to_end(self, record: Record) -> None:
        if record["TrainingJobStatus"] == "Stopping":  # stopped just before a killed cloud ended
            ended = stopped_before_start(record, self._clock())
        else:
            ended = self._training_jobs.run(record)
        with self._lock:
            if not self._training_jobs.is_open:
                return  # killed because the cloud is shutting down; the next start resumes it
            self._end(ended)

    def _end(self, ended: Record) -> None:
        self._table.save(ended)
        self._running.pop(ended["TrainingJobName"], None)
        self._state_changes.announce_training_job(ended)
