"""Runs tuning jobs: asks the search, starts training jobs, and ends when all is tried."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.errors import in_use, invalid, not_found, over_limit
from hpoq.local.sagemaker.ports import Clock, Ports
from hpoq.local.sagemaker.records import (
    HOLDING,
    add_metrics,
    definitions_of,
    demand_of_training,
    demand_of_tuning,
    is_retryable,
    parallel_of,
    parents_of,
    training_job_name,
)
from hpoq.local.sagemaker.rules import (
    check_definitions,
    check_training_job,
    check_tuning_job,
    most_training_jobs,
)
from hpoq.local.sagemaker.settings import EngineSettings
from hpoq.local.sagemaker.store import Store
from hpoq.local.sagemaker.training.processes import Processes
from hpoq.local.sagemaker.training.training_run import Training
from hpoq.local.sagemaker.tuning import autotune, warm_start
from hpoq.local.sagemaker.tuning.tuning_run import Tuning, tuning_of, zeros

Record = dict[str, Any]

TUNING_JOB = "hyper-parameter-tuning-job"
TRAINING_JOB = "training-job"
STATE_CHANGE = "SageMaker HyperParameter Tuning Job State Change"
TRAINING_STATE_CHANGE = "SageMaker Training Job State Change"
STOPPING = {"TrainingJobStatus": "Stopping", "SecondaryStatus": "Stopping"}


class Engine:
    """All tuning jobs of the account. Every public method is safe from any thread."""

    def __init__(
        self, home: Path, ports: Ports, settings: EngineSettings, clock: Clock = time.time
    ) -> None:
        self.settings = settings
        self.store = Store(home / "sagemaker" / "jobs.sqlite")
        self._ports = ports
        self._clock = clock
        self._processes = Processes(settings.interpreter)
        self._training = Training(
            home / "sagemaker" / "jobs",
            ports,
            self._processes,
            python=settings.interpreter,
            memory_mib=settings.memory_mib,
            clock=clock,
        )
        self._lock = threading.RLock()
        self._tunings: dict[str, Tuning] = {}
        self._alone: dict[str, Record] = {}  # training jobs of their own, by name
        self._pool: ThreadPoolExecutor | None = None
        # One thread of its own: no event is sent under our lock, and their order is kept.
        self._events = ThreadPoolExecutor(1, "events")

    def start(self) -> None:
        """Begin to work; goes on with what a killed engine left."""
        self._pool = ThreadPoolExecutor(self.settings.processes, "training")
        for record in self.store.tuning_jobs(HOLDING):
            self._resume(record)
        for record in self.store.training_jobs(""):
            if record["TrainingJobStatus"] in HOLDING:
                self._alone[record["TrainingJobName"]] = record
                self._pool.submit(self._train_alone, record)

    def close(self) -> None:
        """End every process; unfinished training jobs begin anew at the next start."""
        pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)
        self._processes.close()
        if pool:
            pool.shutdown(wait=True)
        for tuning in self._tunings.values():
            if tuning.timer:
                tuning.timer.cancel()
        self._events.shutdown(wait=True)
        self.store.close()

    def create(self, request: Record) -> str:
        """Accept a tuning job and start its first training jobs; its ARN.

        Raises:
            ApiError: as the service would.
        """
        name = request["HyperParameterTuningJobName"]
        check_definitions(request)
        for definition in definitions_of(request):
            add_metrics(definition, definition.get("StaticHyperParameters", {}))
        request = autotune.completed(request)
        check_tuning_job(request)
        now = self._clock()
        statuses, objectives = zeros()
        record = {
            **{key: value for key, value in request.items() if key != "Tags"},
            "HyperParameterTuningJobArn": self.settings.arn(TUNING_JOB, name),
            "HyperParameterTuningJobStatus": "InProgress",
            "CreationTime": now,
            "LastModifiedTime": now,
            "TrainingJobStatusCounters": statuses,
            "ObjectiveStatusCounters": objectives,
        }
        tuning = tuning_of(record)
        self._check_parents(record)
        self._learn(tuning)
        with self._lock:
            if self.store.tuning_job(name):
                raise in_use("hyperparameter tuning job", name)
            held = self.store.count_tuning_jobs(HOLDING)
            most = self.settings.quotas.tuning_jobs
            if held >= most:
                raise over_limit("Total number of hyperparameter tuning jobs", most, held)
            self._check_demand(demand_of_tuning(record), parallel_of(record))
            self.store.add_tuning_job(record)
            arn = str(record["HyperParameterTuningJobArn"])
            self.store.tag(arn, {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())})
            self._tunings[name] = tuning
            self._announce(record)
            self._limit_runtime(tuning)
            self._advance(tuning)
        return arn

    def _check_parents(self, record: Record) -> None:
        parents = []
        for name in parents_of(record):
            parent = self.store.tuning_job(name)
            if parent is None:
                raise not_found("hyperparameter tuning job", name)
            parents.append(parent)
        most = most_training_jobs(record["HyperParameterTuningJobConfig"])
        warm_start.check(record, parents, most)

    def delete(self, name: str) -> None:
        """Forget a tuning job that has ended; its training jobs stay.

        Raises:
            ApiError: it has not ended.
        """
        with self._lock:
            record = self.store.tuning_job(name)
            if record and record["HyperParameterTuningJobStatus"] in HOLDING:
                raise invalid(f"The tuning job {name} has not ended and cannot be deleted.")
            self.store.delete_tuning_job(name)

    def create_training_job(self, request: Record) -> str:
        """Accept a training job of its own; its ARN.

        Raises:
            ApiError: as the service would.
        """
        check_training_job(request)
        name, now = request["TrainingJobName"], self._clock()
        own = {key: value for key, value in request.items() if key != "Tags"}
        record = own | self._beginning(name, now)
        record.setdefault("HyperParameters", {})
        add_metrics(record, record["HyperParameters"])
        with self._lock:
            if self.store.training_job(name):
                raise in_use("training job", name)
            self._check_demand(demand_of_training(record), 1)
            self.store.add_training_job(record)
            arn = str(record["TrainingJobArn"])
            self.store.tag(arn, {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())})
            self._alone[name] = record
            self._announce_training(record)
            assert self._pool is not None  # noqa: S101  requests come between start and close
            self._pool.submit(self._train_alone, record)
        return arn

    def stop_training_job(self, name: str) -> None:
        """End a training job, of its own or of a tuning job, and keep its model.

        Raises:
            ApiError: there is none, or it has ended.
        """
        record = self.store.training_job(name)
        if record is None:
            raise not_found("training job", name)
        if record["TrainingJobStatus"] not in HOLDING:
            status = record["TrainingJobStatus"]
            raise invalid(f"The training job {name} has status {status} and cannot be stopped.")
        self._end(record["TrainingJobName"])

    def _end(self, training_job: str) -> None:
        """Ask a running training job to end; it is described as stopping until it has."""
        with self._lock:
            record = self.store.training_job(training_job)
            if record is None or record["TrainingJobStatus"] != "InProgress":
                return
            self.store.save_training_job(record | STOPPING)
        self._training.stop(training_job)

    def _train_alone(self, record: Record) -> None:
        """In a thread of the pool."""
        if record["TrainingJobStatus"] == "Stopping":  # of an engine that was killed meanwhile
            ended = record | {"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"}
        else:
            ended = self._training.run(record, said=self._progress)
        with self._lock:
            if self._pool is None:
                return  # closing: it was killed, and begins anew
            del self._alone[record["TrainingJobName"]]
            self.store.save_training_job(ended)
            self._announce_training(ended)

    def _progress(self, record: Record) -> None:
        """Let a training job be described as it is now; called by its thread."""
        with self._lock:
            there = self.store.training_job(record["TrainingJobName"])
            if self._pool is not None and there:
                asked_to_stop = there["TrainingJobStatus"] == "Stopping"
                self.store.save_training_job(record | STOPPING if asked_to_stop else record)

    def _check_demand(self, asked: Mapping[str, int], training_jobs: int) -> None:
        """Callers hold the lock. A tuning job holds as much as it may ever hold at once.

        Raises:
            ApiError: a quota would be exceeded.
        """
        quotas = self.settings.quotas
        held: Counter[str] = Counter()
        jobs = len(self._alone)
        for tuning in self._tunings.values():
            held.update(demand_of_tuning(tuning.record))
            jobs += parallel_of(tuning.record)
        for record in self._alone.values():
            held.update(demand_of_training(record))
        for type_, count in asked.items():
            most = quotas.instances.get(type_)
            if most is not None and held[type_] + count > most:
                limit = f"{type_} for training job usage"
                raise over_limit(limit, most, held[type_], count, "Instances")
        all_held, all_asked = held.total(), sum(asked.values())
        if quotas.all_instances is not None and all_held + all_asked > quotas.all_instances:
            limit, most = "Number of instances across all training jobs", quotas.all_instances
            raise over_limit(limit, most, all_held, all_asked, "Instances")
        if quotas.training_jobs is not None and jobs + training_jobs > quotas.training_jobs:
            most = quotas.training_jobs
            raise over_limit("Total number of training jobs", most, jobs, training_jobs)

    def stop(self, name: str) -> None:
        """Start nothing more and end what runs.

        Raises:
            ApiError: there is none, or it has ended.
        """
        with self._lock:
            record = self.store.tuning_job(name)
            if record is None:
                raise not_found("hyperparameter tuning job", name)
            status = record["HyperParameterTuningJobStatus"]
            if status == "Stopping":
                return
            tuning = self._tunings.get(record["HyperParameterTuningJobName"])
            if status != "InProgress" or tuning is None:
                raise invalid(f"The tuning job {name} has status {status} and cannot be stopped.")
            self._set_status(tuning, "Stopping")
            running = list(tuning.running)
            self._advance(tuning)
        for training_job in running:
            self._end(training_job)

    # The loop of one tuning job; callers hold the lock

    def _advance(self, tuning: Tuning) -> None:
        while tuning.wants_more and self._pool is not None:
            number = tuning.launched
            name, now = training_job_name(tuning.name, number), self._clock()
            arn = tuning.record["HyperParameterTuningJobArn"]
            record = {**tuning.next(), **self._beginning(name, now), "TuningJobArn": arn}
            self.store.add_training_job(record)
            self._submit(tuning, record)
        if not tuning.running and self._pool is not None:
            self._conclude(tuning)
        else:
            self._save(tuning)

    def _beginning(self, name: str, now: float) -> Record:
        """What every training job starts with."""
        starting = {"Status": "Starting", "StartTime": now, "StatusMessage": ""}
        return {
            "TrainingJobName": name,
            "TrainingJobArn": self.settings.arn(TRAINING_JOB, name),
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "CreationTime": now,
            "LastModifiedTime": now,
            "SecondaryStatusTransitions": [starting],
        }

    def _submit(self, tuning: Tuning, record: Record) -> None:
        tuning.started(record)
        assert self._pool is not None  # noqa: S101  callers have looked
        self._pool.submit(self._train, tuning, record)

    def _train(self, tuning: Tuning, record: Record) -> None:
        """In a thread of the pool."""
        gives_up = tuning.gives_up(record)
        ended = record | {"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"}
        for attempt in range(1 + record.get("_retries", 0)):
            if tuning.stopping or tuning.enough or record["TrainingJobStatus"] == "Stopping":
                break
            ended = self._training.run(record, gives_up, self._progress) | {"_attempt": attempt}
            if not is_retryable(ended):
                break
        with self._lock:
            if self._pool is None:
                return  # closing: it was killed, and begins anew
            self.store.save_training_job(ended)
            tuning.ended(ended)
            self._advance(tuning)
            superfluous = list(tuning.running) if tuning.enough else []
        for name in superfluous:
            self._end(name)

    def _conclude(self, tuning: Tuning) -> None:
        status = tuning.conclude()
        tuning.record["HyperParameterTuningEndTime"] = self._clock()
        del self._tunings[tuning.name]
        self._set_status(tuning, status)

    def _set_status(self, tuning: Tuning, status: str) -> None:
        tuning.record["HyperParameterTuningJobStatus"] = status
        self._save(tuning)
        self._announce(tuning.record)

    def _save(self, tuning: Tuning) -> None:
        tuning.record["LastModifiedTime"] = self._clock()
        self.store.save_tuning_job(tuning.record)

    def _announce(self, record: Record) -> None:
        detail = {
            key: record[key]
            for key in (
                "HyperParameterTuningJobName",
                "HyperParameterTuningJobArn",
                "HyperParameterTuningJobStatus",
                "TrainingJobStatusCounters",
                "ObjectiveStatusCounters",
            )
        }
        times = ("CreationTime", "LastModifiedTime")
        detail |= {key: round(record[key] * 1000) for key in times}
        arn = record["HyperParameterTuningJobArn"]
        self._events.submit(
            self._ports.events.put, STATE_CHANGE, json.dumps(detail), "aws.sagemaker", [arn]
        )

    def _announce_training(self, record: Record) -> None:
        detail = {key: record[key] for key in _ANNOUNCED_OF_TRAINING if key in record}
        arn = record["TrainingJobArn"]
        self._events.submit(
            self._ports.events.put,
            TRAINING_STATE_CHANGE,
            json.dumps(detail),
            "aws.sagemaker",
            [arn],
        )

    # Beginning, anew or again

    def _limit_runtime(self, tuning: Tuning) -> None:
        seconds = tuning.limits.get("MaxRuntimeInSeconds")
        if seconds is not None:
            left = tuning.record["CreationTime"] + seconds - self._clock()
            tuning.timer = threading.Timer(max(0.0, left), self._time_is_up, (tuning,))
            tuning.timer.daemon = True
            tuning.timer.start()

    def _time_is_up(self, tuning: Tuning) -> None:
        with self._lock:
            tuning.enough = tuning.enough or "MaxRuntimeInSeconds has passed"
            running = list(tuning.running)
        for name in running:
            self._end(name)

    def _learn(self, tuning: Tuning) -> None:
        """What the parents found; one that was deleted since teaches nothing."""
        for name in parents_of(tuning.record):
            parent = self.store.tuning_job(name)
            if parent:
                warm_start.learn(tuning, parent, self.store.training_jobs(name))

    def _resume(self, record: Record) -> None:
        tuning = tuning_of(record)
        self._learn(tuning)
        with self._lock:
            self._tunings[tuning.name] = tuning
            for training_job in tuning.resume(self.store.training_jobs(tuning.name)):
                self._submit(tuning, training_job)
            self._limit_runtime(tuning)
            self._advance(tuning)


_ANNOUNCED_OF_TRAINING = (
    "TrainingJobName", "TrainingJobArn", "TrainingJobStatus", "SecondaryStatus", "FailureReason",
    "ModelArtifacts", "ResourceConfig",
)  # fmt: skip
