"""Starting, resuming, limiting and stopping tuning jobs."""

from __future__ import annotations

import threading
from typing import Any

from hpoq.local.sagemaker.errors import invalid, not_found
from hpoq.local.sagemaker.ports import Clock
from hpoq.local.sagemaker.records import ACTIVE, parent_names
from hpoq.local.sagemaker.state_changes import StateChanges
from hpoq.local.sagemaker.store import Store
from hpoq.local.sagemaker.training.training_jobs import TrainingJobs
from hpoq.local.sagemaker.tuning import warm_start
from hpoq.local.sagemaker.tuning.training_loop import TrainingLoop
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
        self._state_changes.announce_tuning_job(run.record)
        self._limit_runtime(run)
        self._loop.advance(run)

    def resume(self) -> None:
        """Continue the tuning jobs that an earlier process left unfinished."""
        for record in self._store.tuning_jobs.with_status(ACTIVE):
            run = self.prepare(record)
            with self._lock:
                self._runs[run.name] = run
                training_jobs = self._store.training_jobs.of_tuning_job(run.name)
                for training_job in run.recount(training_jobs):
                    self._loop.submit(run, training_job)
                self._limit_runtime(run)
                self._loop.advance(run)

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
            if status == "Stopping":
                return
            run = self._runs.get(record["HyperParameterTuningJobName"])
            if status != "InProgress" or run is None:
                raise invalid(f"The tuning job {name} has status {status} and cannot be stopped.")
            self._loop.set_status(run, "Stopping")
            running = list(run.running)
            self._loop.advance(run)
        self._loop.stop_training_jobs(running)

    def close(self) -> None:
        """Cancel the timers of all tuning jobs."""
        for run in self._runs.values():
            if run.timer:
                run.timer.cancel()

    def _forget(self, run: TuningRun) -> None:
        del self._runs[run.name]

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
        self._loop.stop_training_jobs(running)
