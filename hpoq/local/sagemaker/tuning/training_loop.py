"""The training jobs of running tuning jobs: started one after another until each is complete."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from hpoq.local.sagemaker.ports import Clock
from hpoq.local.sagemaker.records import is_retryable, training_job_name
from hpoq.local.sagemaker.state_changes import StateChanges
from hpoq.local.sagemaker.store import Store
from hpoq.local.sagemaker.training.training_jobs import STOPPED, TrainingJobs
from hpoq.local.sagemaker.tuning.tuning_run import TuningRun

Record = dict[str, Any]


class TrainingLoop:
    """The loop that starts the training jobs of a tuning job and processes their results.

    Callers of its methods hold the lock, except for ``stop_training_jobs``.
    """

    def __init__(
        self,
        store: Store,
        training_jobs: TrainingJobs,
        state_changes: StateChanges,
        *,
        clock: Clock,
        lock: threading.RLock,
        on_concluded: Callable[[TuningRun], None],
    ) -> None:
        self._store = store
        self._training_jobs = training_jobs
        self._state_changes = state_changes
        self._clock = clock
        self._lock = lock
        self._on_concluded = on_concluded

    def advance(self, run: TuningRun) -> None:
        """Start as many training jobs as possible, or conclude the tuning job."""
        while run.can_launch and self._training_jobs.is_open:
            name = training_job_name(run.name, run.launched)
            record = {
                **run.next(),
                **self._training_jobs.initial_fields(name),
                "TuningJobArn": run.record["HyperParameterTuningJobArn"],
            }
            self._store.training_jobs.add(record)
            # "Tags that you specify for the tuning job are also added to all training jobs that
            # the tuning job launches": API reference, CreateHyperParameterTuningJob.
            tags = self._store.tags.of(record["TuningJobArn"])
            self._store.tags.add(str(record["TrainingJobArn"]), tags)
            self.submit(run, record)
        if not run.running and self._training_jobs.is_open:
            self._conclude(run)
        else:
            self._save(run)

    def submit(self, run: TuningRun, record: Record) -> None:
        """Start a training job that is stored already."""
        run.count_started(record)
        self._training_jobs.submit(self._train, run, record)

    def set_status(self, run: TuningRun, status: str) -> None:
        """Store and publish a new status of a tuning job."""
        run.record["HyperParameterTuningJobStatus"] = status
        self._save(run)
        self._state_changes.announce_tuning_job(run.record)

    def stop_training_jobs(self, names: Iterable[str]) -> None:
        """Stop running training jobs."""
        for name in names:
            self._training_jobs.stop(name)

    def _train(self, run: TuningRun, record: Record) -> None:
        """Run one training job and its retries; called by a thread of the pool."""
        should_stop = run.early_stopping(record)
        ended = record | STOPPED
        for attempt in range(1 + record.get("_retries", 0)):
            if run.is_stopping or run.complete or record["TrainingJobStatus"] == "Stopping":
                break
            ended = self._training_jobs.run(record, should_stop) | {"_attempt": attempt}
            if not is_retryable(ended):
                break
        with self._lock:
            if not self._training_jobs.is_open:
                return  # killed because the cloud is shutting down; the next start resumes it
            self._store.training_jobs.save(ended)
            run.count_ended(ended)
            self.advance(run)
            superfluous = list(run.running) if run.complete else []
        self.stop_training_jobs(superfluous)

    def _conclude(self, run: TuningRun) -> None:
        status = run.conclude()
        run.record["HyperParameterTuningEndTime"] = self._clock()
        self._on_concluded(run)
        self.set_status(run, status)

    def _save(self, run: TuningRun) -> None:
        run.record["LastModifiedTime"] = self._clock()
        self._store.tuning_jobs.save(run.record)
