"""Running tuning jobs: starting their training jobs until each tuning job is complete."""

from __future__ import annotations

import threading
from typing import Any

from hpoq.local.sagemaker.errors import invalid, not_found
from hpoq.local.sagemaker.ports import Clock
from hpoq.local.sagemaker.records import ACTIVE, is_retryable, parent_names, training_job_name
from hpoq.local.sagemaker.state_changes import StateChanges
from hpoq.local.sagemaker.store import Store
from hpoq.local.sagemaker.training.training_jobs import STOPPED, TrainingJobs
from hpoq.local.sagemaker.tuning import warm_start
from hpoq.local.sagemaker.tuning.tuning_run import TuningRun, tuning_run_of

Record = dict[str, Any]


class TuningJobRunner:
    """The running tuning jobs of the account."""

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
        self._training_jobs = training_jobs
        self._state_changes = state_changes
        self._clock = clock
        self._lock = lock
        self._runs: dict[str, TuningRun] = {}

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
        self._state_changes.announce_tuning_job(run.record)
        self._limit_runtime(run)
        self._advance(run)

    def resume(self) -> None:
        """Continue the tuning jobs that an earlier process left unfinished."""
        for record in self._store.tuning_jobs.with_status(ACTIVE):
            run = self.prepare(record)
            with self._lock:
                self._runs[run.name] = run
                training_jobs = self._store.training_jobs.of_tuning_job(run.name)
                for training_job in run.recount(training_jobs):
                    self._submit(run, training_job)
                self._limit_runtime(run)
                self._advance(run)

    def stop(self, name: str) -> None:
        """Start no more training jobs of a tuning job, and stop those that run.

        Raises:
            ApiError: if the tuning job does not exist or has ended.
        """
        with self._lock:
            record = self._store.tuning_jobs.get(name)
            if record is None:
                raise not_found("hyperparameter tuning job", name)
            status = record["HyperParameterTuningJobStatus"]
            if status == "Stopping":
                return
            run = self._runs.get(record["HyperParameterTuningJobName"])
            if status != "InProgress" or run is None:
                raise invalid(f"The tuning job {name} has status {status} and cannot be stopped.")
            self._set_status(run, "Stopping")
            running = list(run.running)
            self._advance(run)
        self._stop_all(running)

    def close(self) -> None:
        """Cancel the timers of all tuning jobs."""
        for run in self._runs.values():
            if run.timer:
                run.timer.cancel()

    def _stop_all(self, training_jobs: list[str]) -> None:
        for name in training_jobs:
            self._training_jobs.stop(name)

    # Callers of the methods below hold the lock, except for _train and _end_runtime.

    def _advance(self, run: TuningRun) -> None:
        """Start as many training jobs as possible, or conclude the tuning job."""
        while run.can_launch and self._training_jobs.is_open:
            name = training_job_name(run.name, run.launched)
            record = {
                **run.next(),
                **self._training_jobs.initial_fields(name),
                "TuningJobArn": run.record["HyperParameterTuningJobArn"],
            }
            self._store.training_jobs.add(record)
            self._submit(run, record)
        if not run.running and self._training_jobs.is_open:
            self._conclude(run)
        else:
            self._save(run)

    def _submit(self, run: TuningRun, record: Record) -> None:
        run.count_started(record)
        self._training_jobs.submit(self._train, run, record)

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
            self._advance(run)
            superfluous = list(run.running) if run.complete else []
        self._stop_all(superfluous)

    def _conclude(self, run: TuningRun) -> None:
        status = run.conclude()
        run.record["HyperParameterTuningEndTime"] = self._clock()
        del self._runs[run.name]
        self._set_status(run, status)

    def _set_status(self, run: TuningRun, status: str) -> None:
        run.record["HyperParameterTuningJobStatus"] = status
        self._save(run)
        self._state_changes.announce_tuning_job(run.record)

    def _save(self, run: TuningRun) -> None:
        run.record["LastModifiedTime"] = self._clock()
        self._store.tuning_jobs.save(run.record)

    def _limit_runtime(self, run: TuningRun) -> None:
        seconds = run.limits.get("MaxRuntimeInSeconds")
        if seconds is not None:
            left = run.record["CreationTime"] + seconds - self._clock()
            run.timer = threading.Timer(max(0.0, left), self._end_runtime, (run,))
            run.timer.daemon = True
            run.timer.start()

    def _end_runtime(self, run: TuningRun) -> None:
        """Complete a tuning job whose MaxRuntimeInSeconds has passed; called by its timer."""
        with self._lock:
            run.complete = run.complete or "MaxRuntimeInSeconds has passed"
            running = list(run.running)
        self._stop_all(running)
