"""Starting, resuming, limiting and stopping tuning jobs."""

from __future__ import annotations

import logging
import threading
from typing import Any

from hpoq.local.sagemaker.errors import cannot_stop, not_found, reason_of
from hpoq.local.sagemaker.ports import Clock
from hpoq.local.sagemaker.records import ACTIVE, definitions_of, parent_names, strategy_of
from hpoq.local.sagemaker.state_changes import StateChanges
from hpoq.local.sagemaker.store import Store
from hpoq.local.sagemaker.training.status import failed_in_engine
from hpoq.local.sagemaker.training.training_jobs import TrainingJobs
from hpoq.local.sagemaker.tuning import warm_start
from hpoq.local.sagemaker.tuning.training_loop import TrainingLoop
from hpoq.local.sagemaker.tuning.tuning_run import TuningRun, tuning_run_of

Record = dict[str, Any]
logger = logging.getLogger(__name__)


class TuningJobRunner:
    """The running tuning jobs of the account.

    It is long because starting, resuming, stopping and failing change the same runs.
    """

    def __init__(
        self,
        store: Store,
        training_jobs: TrainingJobs,
        state_changes: StateChanges,
        *,
        clock: Clock,
        lock: threading.RLock,
    ) -> None:
        self._store = store
        self._state_changes = state_changes
        self._clock = clock
        self._lock = lock
        self._runs: dict[str, TuningRun] = {}
        self._loop = TrainingLoop(
            store,
            training_jobs,
            state_changes,
            clock=clock,
            lock=lock,
            on_concluded=self._forget,
        )

    @property
    def running(self) -> list[Record]:
        """The records of the tuning jobs that have not ended. Callers hold the lock."""
        return [run.record for run in self._runs.values()]

    def prepare(self, record: Record) -> TuningRun:
        """Return a run that knows its parents' results.

        Raises:
            ApiError: if the record contradicts itself.
        """
        run = tuning_run_of(record)
        for name in parent_names(record):
            parent = self._store.tuning_jobs.get(name)
            if parent:  # a parent may be deleted after its child was created
                training_jobs = self._store.training_jobs.of_tuning_job(name)
                warm_start.add_parent_results(run, parent, training_jobs)
        return run

    def start(self, run: TuningRun) -> None:
        """Start a new tuning job that is stored already. Callers hold the lock."""
        self._runs[run.name] = run
        try:
            self._state_changes.announce_tuning_job(run.record)
            self._limit_runtime(run)
            self._loop.advance(run)
        except Exception as error:
            self._loop.fail(run, error)

    def resume(self) -> None:
        """Continue the tuning jobs that an earlier process left unfinished.

        One that cannot be continued fails with the reason, and does not affect the others.
        """
        for record in self._store.tuning_jobs.with_status(ACTIVE):
            if record["HyperParameterTuningJobName"] in self._runs:
                continue
            with self._lock:
                try:
                    run = self.prepare(record)
                except Exception as error:
                    logger.exception("cannot resume %s", record["HyperParameterTuningJobName"])
                    self.fail_unstarted(record, reason_of(error))
                    continue
                self._resume(run)
        with self._lock:
            self._fail_orphans()

    def _resume(self, run: TuningRun) -> None:
        self._runs[run.name] = run
        try:
            training_jobs = self._store.training_jobs.of_tuning_job(run.name)
            for training_job in run.recount(training_jobs):
                self._loop.submit(run, training_job)
            self._limit_runtime(run)
            self._loop.advance(run)
        except Exception as error:
            self._loop.fail(run, error)

    def _fail_orphans(self) -> None:
        """End the training jobs whose tuning jobs have ended or were set aside."""
        for training_job in self._store.training_jobs.with_status(ACTIVE):
            tuning_job = training_job.get("_tuning_job")
            if tuning_job and tuning_job not in self._runs:
                reason = f"InternalServerError: the tuning job {tuning_job} could not be resumed"
                ended = failed_in_engine(training_job, reason, self._clock())
                self._store.training_jobs.save(ended)

    def fail_unstarted(self, record: Record, reason: str) -> None:
        """End a stored tuning job that could not be started, unless it runs.

        If its record cannot be described, set the record aside. Callers hold the lock.
        """
        name = record["HyperParameterTuningJobName"]
        if name in self._runs:
            return
        failed = {"HyperParameterTuningJobStatus": "Failed", "FailureReason": reason[:1024]}
        now = self._clock()
        ended = record | failed | {"HyperParameterTuningEndTime": now, "LastModifiedTime": now}
        try:
            strategy_of(ended), definitions_of(ended)  # what a description needs
            self._state_changes.announce_tuning_job(ended)
        except Exception as error:
            self._store.tuning_jobs.set_aside(name, reason_of(error))
        else:
            self._store.tuning_jobs.save(ended)

    def stop(self, name: str) -> None:
        """Start no more training jobs of a tuning job, and stop those that run.

        Raises:
            ApiError: if the tuning job does not exist or has ended.
        """
        with self._lock:
            record = self._store.tuning_jobs.get(name)
            if record is None:
                raise not_found("tuning job", name)
            status = record["HyperParameterTuningJobStatus"]
            run = self._runs.get(record["HyperParameterTuningJobName"])
            if run is not None and not run.running and not run.is_continuing:
                self._loop.advance(run)  # its end could not be stored before
                return
            if status == "Stopping":
                return
            if status != "InProgress" or run is None:
                raise cannot_stop("tuning job", status)
            try:
                self._loop.set_status(run, "Stopping")
                self._loop.advance(run)
                self._loop.stop_training_jobs(list(run.running))
            except Exception as error:
                self._loop.fail(run, error)

    def close(self) -> None:
        """Cancel the timers of all tuning jobs."""
        for run in self._runs.values():
            if run.timer:
                run.timer.cancel()

    def _forget(self, run: TuningRun) -> None:
        self._runs.pop(run.name, None)

    def _limit_runtime(self, run: TuningRun) -> None:
        seconds = run.limits.get("MaxRuntimeInSeconds")
        if seconds is not None:
            left = run.record["CreationTime"] + seconds - self._clock()
            run.timer = threading.Timer(max(0.0, left), self._end_runtime, (run,))
            run.timer.daemon = True
            run.timer.start()

    def _end_runtime(self, run: TuningRun) -> None:
        """Complete a tuning job whose MaxRuntimeInSeconds has passed; called by its timer.

        An exception ends the timer's thread only: the tuning job has no running training jobs
        then, or completes with the last of them.
        """
        with self._lock:
            run.complete = run.complete or "MaxRuntimeInSeconds has passed"
            self._loop.stop_training_jobs(list(run.running))
