"""The training jobs of running tuning jobs: started one after another until each is complete."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from hpoq.local.sagemaker.errors import reason_of
from hpoq.local.sagemaker.ports import Clock
from hpoq.local.sagemaker.records import ACTIVE, is_retryable, training_job_name
from hpoq.local.sagemaker.state_changes import StateChanges
from hpoq.local.sagemaker.store import Store
from hpoq.local.sagemaker.training.status import failed_in_engine, stopped_before_start
from hpoq.local.sagemaker.training.training_jobs import TrainingJobs
from hpoq.local.sagemaker.tuning import counters
from hpoq.local.sagemaker.tuning.tuning_run import TuningRun

Record = dict[str, Any]
logger = logging.getLogger(__name__)
ATTEMPTS_TO_FAIL = 3  # to end a tuning job that the engine cannot continue


class TrainingLoop:
    """The loop that starts the training jobs of a tuning job and processes their results.

    Callers of its methods hold the lock.
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
            # "Tags that you specify for the tuning job are also added to all training jobs that
            # the tuning job launches": API reference, CreateHyperParameterTuningJob.
            tags = self._store.tags.of(record["TuningJobArn"])
            self._store.tags.add(str(record["TrainingJobArn"]), tags)
            self._store.training_jobs.add(record)
            self.submit(run, record)
        if not run.running and self._training_jobs.is_open:
            self._conclude(run)
        else:
            self._save(run)

    def submit(self, run: TuningRun, record: Record) -> None:
        """Start a training job that is stored already."""
        try:
            run.count_started(record)
            self._training_jobs.submit(self._train, run, record)
        except BaseException:
            run.count_not_started(record)
            raise

    def fail(self, run: TuningRun, error: Exception) -> None:
        """End a tuning job that the engine cannot continue, with the error as its reason.

        It ends at once, or with the last of its training jobs that are running.
        """
        logger.error("the tuning job %s failed in the engine", run.name, exc_info=error)
        run.failure = run.failure or reason_of(error)
        for _ in range(ATTEMPTS_TO_FAIL):
            try:
                self.stop_training_jobs(list(run.running))
                if not run.running and self._training_jobs.is_open:
                    self._conclude(run)
                return
            except Exception:
                logger.exception("the end of the tuning job %s was not stored", run.name)

    def set_status(self, run: TuningRun, status: str) -> None:
        """Store and publish a new status of a tuning job."""
        now = self._clock()
        changed = {"HyperParameterTuningJobStatus": status, "LastModifiedTime": now}
        self._store.tuning_jobs.save(run.record | changed)
        run.record.update(changed)
        self._state_changes.announce_tuning_job(run.record)

    def stop_training_jobs(self, names: Iterable[str]) -> None:
        """Stop running training jobs."""
        for name in names:
            self._training_jobs.stop(name)

    def _train(self, run: TuningRun, record: Record) -> None:
        """Run one training job and its retries to the end; called by a thread of the pool."""
        try:
            ended = self._attempts(run, record)
        except Exception as error:
            logger.exception("the training job %s failed", record["TrainingJobName"])
            ended = failed_in_engine(record, reason_of(error), self._clock())
        with self._lock:
            if not self._training_jobs.is_open:
                return  # killed because the cloud is shutting down; the next start resumes it
            try:
                self._store.training_jobs.save(ended)
                run.count_ended(ended)
                self.advance(run)
                superfluous = [] if run.is_continuing else list(run.running)
                self.stop_training_jobs(superfluous)
            except Exception as error:
                run.running.discard(record["TrainingJobName"])
                self.fail(run, error)

    def _attempts(self, run: TuningRun, record: Record) -> Record:
        should_stop = run.early_stopping(record)
        ended = None
        for attempt in range(1 + record.get("_retries", 0)):
            if not run.is_continuing or record["TrainingJobStatus"] == "Stopping":
                break
            ended = self._training_jobs.run(record, should_stop) | {"_attempt": attempt}
            if not is_retryable(ended):
                break
        return ended or stopped_before_start(record, self._clock())

    def _conclude(self, run: TuningRun) -> None:
        if run.failure:
            self._fail_abandoned(run)
        status = run.conclude()
        run.record["HyperParameterTuningEndTime"] = self._clock()
        self.set_status(run, status)
        self._on_concluded(run)

    def _fail_abandoned(self, run: TuningRun) -> None:
        """End the training jobs that are stored as running although nothing runs them."""
        counters.end_running(run.record)
        for training_job in self._store.training_jobs.of_tuning_job(run.name):
            if training_job["TrainingJobStatus"] in ACTIVE:
                ended = failed_in_engine(training_job, run.failure, self._clock())
                self._store.training_jobs.save(ended)

    def _save(self, run: TuningRun) -> None:
        run.record["LastModifiedTime"] = self._clock()
        self._store.tuning_jobs.save(run.record)
