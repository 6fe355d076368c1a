"""The training jobs in progress: the threads that run them, their progress, and stopping them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hpoq.local.sagemaker.ports import Clock
from hpoq.local.sagemaker.records import TRAINING_JOB
from hpoq.local.sagemaker.settings import EngineSettings
from hpoq.local.sagemaker.store import TrainingJobTable
from hpoq.local.sagemaker.training.execution import ShouldStop
from hpoq.local.sagemaker.training.training_run import TrainingRunner

Record = dict[str, Any]
STOPPING = {"TrainingJobStatus": "Stopping", "SecondaryStatus": "Stopping"}


class TrainingJobs:
    """The running training jobs: a thread pool that stores their progress."""

    def __init__(
        self,
        table: TrainingJobTable,
        runner: TrainingRunner,
        *,
        settings: EngineSettings,
        clock: Clock,
        lock: threading.RLock,
    ) -> None:
        self._table = table
        self._runner = runner
        self._settings = settings
        self._clock = clock
        self._lock = lock
        self._pool: ThreadPoolExecutor | None = None

    @property
    def is_open(self) -> bool:
        """Whether training jobs can be started and stored."""
        return self._pool is not None

    def open(self) -> None:
        """Start the threads."""
        self._pool = ThreadPoolExecutor(self._settings.processes, "training")

    def close(self) -> None:
        """Kill every training process and block until the threads have ended."""
        pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)
        self._runner.close()
        if pool:
            pool.shutdown(wait=True)

    def submit(self, work: Callable[..., None], *arguments: Any) -> None:
        """Run ``work``, which raises nothing, in a thread of the pool."""
        assert self._pool is not None  # noqa: S101  callers submit between open and close
        self._pool.submit(work, *arguments)

    def initial_fields(self, name: str) -> Record:
        """Return the fields of a training job that starts now."""
        now = self._clock()
        starting = {"Status": "Starting", "StartTime": now, "StatusMessage": ""}
        return {
            "TrainingJobName": name,
            "TrainingJobArn": self._settings.arn(TRAINING_JOB, name),
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "CreationTime": now,
            "LastModifiedTime": now,
            "SecondaryStatusTransitions": [starting],
        }

    def run(self, record: Record, should_stop: ShouldStop = lambda _: False) -> Record:
        """Run a training job, block until it has ended, and return its final record."""
        return self._runner.run(record, should_stop, self._save_progress)

    def stop(self, name: str) -> None:
        """Stop a running training job; its status is Stopping until it has ended."""
        with self._lock:
            record = self._table.get(name)
            if record is None or record["TrainingJobStatus"] != "InProgress":
                return
            self._table.save(record | STOPPING)
        self._runner.stop(name)

    def _save_progress(self, record: Record) -> None:
        """Store a running training job's record; called by the job's thread."""
        with self._lock:
            stored = self._table.get(record["TrainingJobName"])
            if self.is_open and stored:
                is_stopping = stored["TrainingJobStatus"] == "Stopping"
                self._table.save(record | STOPPING if is_stopping else record)
