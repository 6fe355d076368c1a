"""The engine behind the SageMaker API: creates, stops, deletes and resumes jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.account_checks import AccountChecks
from hpoq.local.sagemaker.built_in_algorithms import add_metric_definitions
from hpoq.local.sagemaker.errors import cannot_stop, in_use, no_training_job, over_limit, reason_of
from hpoq.local.sagemaker.ports import Clock, Ports
from hpoq.local.sagemaker.records import (
    ACTIVE,
    definitions_of,
    without_tags,
)
from hpoq.local.sagemaker.rules import check_combinations, check_training_job
from hpoq.local.sagemaker.settings import EngineSettings
from hpoq.local.sagemaker.state_changes import StateChanges
from hpoq.local.sagemaker.store import Store
from hpoq.local.sagemaker.training.standalone_jobs import StandaloneJobs
from hpoq.local.sagemaker.training.training_jobs import TrainingJobs
from hpoq.local.sagemaker.training.training_run import TrainingRunner
from hpoq.local.sagemaker.tuning import warm_start
from hpoq.local.sagemaker.tuning.deletions import Deletions
from hpoq.local.sagemaker.tuning.new_tuning_job import new_tuning_job
from hpoq.local.sagemaker.tuning.quota_check import (
    Demand,
    Usage,
    check_quotas,
    check_tuning_job_size,
)
from hpoq.local.sagemaker.tuning.tuning_jobs import TuningJobRunner

Record = dict[str, Any]
logger = logging.getLogger(__name__)
ATTEMPTS_TO_START = 2  # for each step: what keeps one step from succeeding must not stop the cloud


class Engine:
    """All tuning and training jobs of the account. Any thread may call its methods."""

    def __init__(
        self, home: Path, ports: Ports, settings: EngineSettings, clock: Clock = time.time
    ) -> None:
        self.settings = settings
        folders = home / "sagemaker" / "jobs"
        self.store = Store(home / "sagemaker" / "jobs.sqlite", folders)
        self._clock = clock
        # One lock for all jobs: quotas concern all of them.
        self._lock = threading.RLock()
        self._state_changes = StateChanges(ports.events)
        self._account_checks = AccountChecks(ports, settings.region)
        runner = TrainingRunner(
            folders,
            ports,
            settings=settings,
            clock=clock,
        )
        self._training_jobs = TrainingJobs(
            self.store.training_jobs, runner, settings=settings, clock=clock, lock=self._lock
        )
        self._standalone_jobs = StandaloneJobs(
            self.store.training_jobs,
            self._training_jobs,
            self._state_changes,
            clock=clock,
            lock=self._lock,
        )
        self._tuning_jobs = TuningJobRunner(
            self.store, self._training_jobs, self._state_changes, clock=clock, lock=self._lock
        )
        self._deletions = Deletions(self.store, settings.deletion_seconds, self._lock)

    def start(self) -> None:
        """Start the engine and resume the jobs that an earlier process left unfinished.

        No stored job keeps it from starting: see ``Store.set_aside_unreadable``.
        """
        self._training_jobs.open()
        for step in (
            self.store.set_aside_unreadable,
            self._deletions.resume,
            self._tuning_jobs.resume,
            self._standalone_jobs.resume,
        ):
            for _ in range(ATTEMPTS_TO_START):
                if _succeeds(step):
                    break

    def close(self) -> None:
        """Kill every training process; the next start runs unfinished training jobs again."""
        for part in (
            self._training_jobs,
            self._tuning_jobs,
            self._deletions,
            self._state_changes,
            self.store,
        ):
            _succeeds(part.close)

    def create_tuning_job(self, request: Record) -> str:
        """Create a tuning job, start its first training jobs, and return its ARN.

        Raises:
            ApiError: if SageMaker would reject the request.
        """
        record = new_tuning_job(request, self.settings, self._clock())
        warm_start.check_parents(record, self.store.tuning_jobs)
        run = self._tuning_jobs.prepare(record)
        check_combinations(record)
        self._check_unused(run.name)
        for definition in definitions_of(record):
            self._account_checks.check(definition)
        inherited = warm_start.inherited(record, self.store.tuning_jobs)
        check_tuning_job_size(self.settings.quotas, record, inherited)
        with self._lock:
            self._check_unused(run.name)
            running = self.store.tuning_jobs.count(ACTIVE)
            most = self.settings.quotas.tuning_jobs
            if running >= most:
                raise over_limit("Total number of hyperparameter tuning jobs", most, running)
            self._check_quotas(Demand.of_tuning_job(record))
            # Not before: another tuning job may have ended only now, so that this one fits.
            record["CreationTime"] = record["LastModifiedTime"] = self._clock()
            arn = str(record["HyperParameterTuningJobArn"])
            self.store.tags.add(arn, _tags_of(request))
            self.store.tuning_jobs.add(record)
            try:
                self._tuning_jobs.start(run)
            except Exception as error:
                logger.exception("the tuning job %s was not started", run.name)
                self._tuning_jobs.fail_unstarted(record, reason_of(error))
        return arn

    def stop_tuning_job(self, name: str) -> None:
        """Start no more training jobs of a tuning job, and stop those that run.

        Raises:
            ApiError: if the tuning job does not exist or has ended.
        """
        self._tuning_jobs.stop(name)

    def delete_tuning_job(self, name: str) -> None:
        """Delete the record of a tuning job that has ended; keep its training jobs.

        Raises:
            ApiError: if the tuning job has not ended.
        """
        self._deletions.request(name)

    def create_training_job(self, request: Record) -> str:
        """Create and start a training job that belongs to no tuning job, and return its ARN.

        Raises:
            ApiError: if SageMaker would reject the request.
        """
        check_training_job(request)
        name = request["TrainingJobName"]
        record = without_tags(request) | self._training_jobs.initial_fields(name)
        record.setdefault("HyperParameters", {})
        add_metric_definitions(record)
        self._account_checks.check(record)
        with self._lock:
            if self.store.training_jobs.get(name):
                raise in_use("training job", name)
            self._check_quotas(Demand.of_training_job(record))
            arn = str(record["TrainingJobArn"])
            self.store.tags.add(arn, _tags_of(request))
            self.store.training_jobs.add(record)
            try:
                self._standalone_jobs.start(record)
            except Exception as error:
                logger.exception("the training job %s was not started", name)
                self._standalone_jobs.fail_unstarted(record, reason_of(error))
        return arn

    def stop_training_job(self, name: str) -> None:
        """Stop a training job, also one of a tuning job, and keep its model.

        Raises:
            ApiError: if the training job does not exist or has ended.
        """
        record = self.store.training_jobs.get(name)
        if record is None:
            raise no_training_job()
        if record["TrainingJobStatus"] not in ACTIVE:
            raise cannot_stop("training job", record["TrainingJobStatus"])
        self._training_jobs.stop(record["TrainingJobName"])

    def _check_unused(self, name: str) -> None:
        if self.store.tuning_jobs.get(name):
            raise in_use("hyperparameter tuning job", name)

    def _check_quotas(self, demand: Demand) -> None:
        usage = Usage.of(self._tuning_jobs.running, self._standalone_jobs.running)
        check_quotas(self.settings.quotas, usage, demand)


def _succeeds(step: Callable[[], object]) -> bool:
    """Return whether a step raises nothing, and log what it raises."""
    try:
        step()
    except Exception:
        logger.exception("a step of the start or end of the engine failed")
        return False
    return True


def _tags_of(request: Record) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
