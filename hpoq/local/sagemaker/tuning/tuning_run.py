"""A tuning job while it runs: its next training job, its counters, and whether it is complete."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hpo_dispatcher.contract.aws_limits import TRAINING_JOBS
from hpoq.local.sagemaker.records import (
    ACTIVE,
    default_seed,
    definitions_of,
    final_objective,
    objective_metric,
    ranges_of,
    training_job_from,
)
from hpoq.local.sagemaker.tuning import counters
from hpoq.local.sagemaker.tuning.completion import CompletionCriteria, count_since_best
from hpoq.local.sagemaker.tuning.early_stopping import EarlyStopping, early_stopping_of
from hpoq.local.sagemaker.tuning.suggest import HyperparameterSearch

Record = dict[str, Any]
ALL_FAILED = "No training job succeeded. Look at the failure reasons of its training jobs."


@dataclass
class TunedDefinition:
    """One training job definition of a tuning job, with its own search."""

    request: Record  # as sent
    objective: Record
    search: HyperparameterSearch
    early_stopping: EarlyStopping
    criteria: CompletionCriteria
    objectives: list[float] = field(default_factory=list)  # final values, oldest first


@dataclass
class TuningRun:
    """The state of a running tuning job. Callers hold the engine's lock."""

    record: Record
    definitions: list[TunedDefinition]
    launched: int = 0
    running: set[str] = field(default_factory=set)
    complete: str = ""  # why no more training jobs start although the job was not stopped
    failure: str = ""  # why the engine cannot continue the tuning job
    timer: threading.Timer | None = None
    # For Grid: the definition and the point of each training job.
    _grid_places: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.record["HyperParameterTuningJobConfig"]["Strategy"] == "Grid":
            sizes = [definition.search.size for definition in self.definitions]
            self._grid_places = list(_interleaved(sizes))

    @property
    def name(self) -> str:
        """The name of the tuning job."""
        return str(self.record["HyperParameterTuningJobName"])

    @property
    def limits(self) -> Record:
        """The ResourceLimits of the tuning job."""
        return dict(self.record["HyperParameterTuningJobConfig"]["ResourceLimits"])

    @property
    def is_stopping(self) -> bool:
        """Whether StopHyperParameterTuningJob was called."""
        return bool(self.record["HyperParameterTuningJobStatus"] == "Stopping")

    @property
    def is_continuing(self) -> bool:
        """Whether nothing has ended the search yet."""
        return not (self.is_stopping or self.complete or self.failure)

    @property
    def can_launch(self) -> bool:
        """Whether another training job is to start now."""
        most = self.limits.get("MaxNumberOfTrainingJobs", TRAINING_JOBS)
        if self._grid_places:
            most = min(most, len(self._grid_places))
        return (
            self.is_continuing
            and self.launched < most
            and len(self.running) < self.limits["MaxParallelTrainingJobs"]
        )

    def next(self) -> Record:
        """Return the fields of the next training job that its definition determines."""
        number = self.launched
        self.launched += 1
        definition, within = self._place(number)
        values = definition.search.ask(within)
        job = training_job_from(definition.request, definition.objective, values)
        return job | {"_tuning_job": self.name, "_number": number}

    def early_stopping(self, training_job: Record) -> partial[bool]:
        """Return the function that decides whether to stop a training job early."""
        definition, within = self._place(training_job["_number"])
        return partial(definition.early_stopping.should_stop, within)

    def count_started(self, training_job: Record) -> None:
        """Count a training job that starts."""
        self.running.add(training_job["TrainingJobName"])
        counters.count_running(self.record, 1)

    def count_not_started(self, training_job: Record) -> None:
        """Undo ``count_started`` for a training job that could not be started."""
        self.running.discard(training_job["TrainingJobName"])
        counters.count_running(self.record, -1)

    def count_ended(self, training_job: Record) -> None:
        """Count a training job that has ended, and record its result in the search."""
        self.running.discard(training_job["TrainingJobName"])
        counters.count_running(self.record, -1)
        definition, within = self._place(training_job["_number"])
        definition.search.tell(within, final_objective(training_job))
        self._count_outcome(training_job)

    def recount(self, training_jobs: Iterable[Record]) -> list[Record]:
        """Rebuild counters and searches after a restart; return the unfinished training jobs.

        The stored counters of a killed engine may lag behind its training jobs.
        """
        counters.reset(self.record)
        unfinished = []
        for training_job in training_jobs:
            self.launched += 1
            definition, within = self._place(training_job["_number"])
            if training_job["TrainingJobStatus"] in ACTIVE:
                definition.search.add_running(within, training_job["_tuned"])
                unfinished.append(training_job)
                continue
            value = final_objective(training_job)
            if value is not None:
                definition.search.add_result(training_job["_tuned"], value)
            self._count_outcome(training_job)
        return unfinished

    def conclude(self) -> str:
        """Set the final fields once no training job runs, and return the final status."""
        completed = self.record["TrainingJobStatusCounters"]["Completed"]
        has_result = any(definition.objectives for definition in self.definitions)
        if self.timer:
            self.timer.cancel()
        if self.failure:
            self.record["FailureReason"] = self.failure[:1024]
            return "Failed"
        self.record["TuningJobCompletionDetails"] = self._completion_details()
        if self.is_stopping:
            return "Stopped"
        if self.complete or has_result or completed:
            return "Completed"
        self.record["FailureReason"] = ALL_FAILED
        return "Failed"

    def _count_outcome(self, training_job: Record) -> None:
        counters.count_outcome(self.record, training_job)
        value = final_objective(training_job)
        if value is not None:
            definition, _ = self._place(training_job["_number"])
            definition.objectives.append(value)
            self.complete = self.complete or definition.criteria.met(definition.objectives) or ""

    def _place(self, number: int) -> tuple[TunedDefinition, int]:
        """Return a training job's definition, and its number among the definition's jobs."""
        if self._grid_places:
            index, within = self._grid_places[number]
        else:
            within, index = divmod(number, len(self.definitions))
        return self.definitions[index], within

    def _completion_details(self) -> Record:
        since_best = [
            count_since_best([v if d.criteria.maximize else -v for v in d.objectives])
            for d in self.definitions
            if d.objectives
        ]
        return {"NumberOfTrainingJobsObjectiveNotImproving": min(since_best, default=0)}


def tuning_run_of(record: Record) -> TuningRun:
    """Return the run of a tuning job that has not started any training job.

    Raises:
        ApiError: if the record contradicts itself.
    """
    config = record["HyperParameterTuningJobConfig"]
    seed = config.get("RandomSeed", default_seed(record["HyperParameterTuningJobName"]))
    definitions = []
    for index, request in enumerate(definitions_of(record)):
        objective = objective_metric(record, request)
        maximize = objective["Type"] == "Maximize"
        ranges = ranges_of(record, request)
        definitions.append(
            TunedDefinition(
                request=request,
                objective=objective,
                search=HyperparameterSearch(config, ranges, maximize, seed + index),
                early_stopping=early_stopping_of(config, request, maximize=maximize),
                criteria=CompletionCriteria.of(config, maximize=maximize),
            )
        )
    return TuningRun(record, definitions)


def _interleaved(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Yield definition and point of each grid point, one definition after the other in turn."""
    for number in range(max(sizes)):
        for index, size in enumerate(sizes):
            if number < size:
                yield index, number
