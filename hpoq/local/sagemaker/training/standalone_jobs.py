"""The training jobs that belong to no tuning job."""

from __future__ import annotations

import threading
from typing import Any

from hpoq.local.sagemaker.records import ACTIVE
from hpoq.local.sagemaker.state_changes import StateChanges
from hpoq.local.sagemaker.store import TrainingJobTable
from hpoq.local.sagemaker.training.training_jobs import STOPPED, TrainingJobs

Record = dict[str, Any]


class StandaloneJobs:
    """The training jobs that CreateTrainingJob creates."""

    def __init__(
        self,
        table: TrainingJobTable,
        training_jobs: TrainingJobs,
        state_changes: StateChanges,
        lock: threading.RLock,
    ) -> None:
        self._table = table
        self._training_jobs = training_jobs
        self._state_changes = state_changes
        self._lock = lock
        self._running: dict[str, Record] = {}

    @property
    def running(self) -> list[Record]:
        """The records of the jobs that have not ended. Callers hold the lock."""
        return list(self._running.values())

    def resume(self) -> None:
        """Start the jobs again that an earlier process left unfinished."""
        for record in self._table.standalone():
            if record["TrainingJobStatus"] in ACTIVE:
                self._submit(record)

    def start(self, record: Record) -> None:
        """Start a new job that is stored already. Callers hold the lock."""
        self._state_changes.announce_training_job(record)
        self._submit(record)

    def _submit(self, record: Record) -> None:
        self._running[record["TrainingJobName"]] = record
        self._training_jobs.submit(self._run, record)

    def _run(self, record: Record) -> None:
        if record["TrainingJobStatus"] == "Stopping":  # stopped just before a killed cloud ended
            ended = record | STOPPED
        else:
            ended = self._training_jobs.run(record)
        with self._lock:
            if not self._training_jobs.is_open:
                return  # killed because the cloud is shutting down; the next start resumes it
            del self._running[record["TrainingJobName"]]
            self._table.save(ended)
            self._state_changes.announce_training_job(ended)
