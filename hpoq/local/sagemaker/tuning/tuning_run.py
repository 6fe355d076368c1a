"""A tuning job while it runs: what is tried next, what has come of it, and when it is enough."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hpoq.local.sagemaker.records import (
    HOLDING,
    IDENTICAL,
    definitions_of,
    is_better,
    is_retryable,
    objective_for,
    objective_of,
    ranges_of,
    seed_of,
    summary,
    training_job_of,
)
from hpoq.local.sagemaker.tuning.completion import Criteria, since_best
from hpoq.local.sagemaker.tuning.early_stopping import Referee, referee
from hpoq.local.sagemaker.tuning.suggest import Search

Record = dict[str, Any]
UNBOUNDED = 10**9
COUNTED = {"Completed": "Completed", "Stopped": "Stopped", "Failed": "NonRetryableError"}
NOTHING_WORKED = "No training job succeeded. Look at the failure reasons of its training jobs."


@dataclass
class Branch:
    """One training job definition, with a search of its own."""

    definition: Record
    objective: Record
    search: Search
    referee: Referee
    criteria: Criteria
    objectives: list[float] = field(default_factory=list)  # final values, as they came


@dataclass
class Tuning:
    """Callers hold the engine's lock."""

    record: Record
    branches: list[Branch]
    launched: int = 0
    running: set[str] = field(default_factory=set)
    enough: str = ""  # why nothing more is started, though it was not stopped
    timer: threading.Timer | None = None
    _places: list[tuple[int, int]] = field(default_factory=list)  # of a grid

    def __post_init__(self) -> None:
        if self.record["HyperParameterTuningJobConfig"]["Strategy"] == "Grid":
            self._places = list(_interleaved([branch.search.size for branch in self.branches]))

    @property
    def name(self) -> str:
        """Of the tuning job."""
        return str(self.record["HyperParameterTuningJobName"])

    @property
    def limits(self) -> Record:
        """ResourceLimits."""
        return dict(self.record["HyperParameterTuningJobConfig"]["ResourceLimits"])

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return bool(self.record["HyperParameterTuningJobStatus"] == "Stopping")

    @property
    def wants_more(self) -> bool:
        """Whether another training job is to be started now."""
        most = self.limits.get("MaxNumberOfTrainingJobs", UNBOUNDED)
        if self._places:
            most = min(most, len(self._places))
        return (
            not self.stopping
            and not self.enough
            and self.launched < most
            and len(self.running) < self.limits["MaxParallelTrainingJobs"]
        )

    def next(self) -> Record:
        """What the definition and the search say of the next training job."""
        number = self.launched
        self.launched += 1
        which, within = self._place(number)
        branch = self.branches[which]
        job = training_job_of(branch.definition, branch.objective, branch.search.ask(within))
        return job | {"_tuning_job": self.name, "_number": number}

    def gives_up(self, training_job: Record) -> partial[bool]:
        """What to ask for each value of a training job's objective."""
        which, within = self._place(training_job["_number"])
        return partial(self.branches[which].referee.gives_up, within)

    def started(self, training_job: Record) -> None:
        """Count a training job in."""
        self.running.add(training_job["TrainingJobName"])
        self.record["TrainingJobStatusCounters"]["InProgress"] += 1
        self.record["ObjectiveStatusCounters"]["Pending"] += 1

    def ended(self, training_job: Record) -> None:
        """Count a training job out, and learn from it."""
        self.running.discard(training_job["TrainingJobName"])
        self.record["TrainingJobStatusCounters"]["InProgress"] -= 1
        self.record["ObjectiveStatusCounters"]["Pending"] -= 1
        which, within = self._place(training_job["_number"])
        self.branches[which].search.tell(within, objective_of(training_job))
        self._settle(training_job)

    def resume(self, training_jobs: Iterable[Record]) -> list[Record]:
        """Count anew what is stored; those that have not ended.

        The counters of a killed engine may be one training job behind its records.
        """
        self.record["TrainingJobStatusCounters"], self.record["ObjectiveStatusCounters"] = zeros()
        self.record.pop("BestTrainingJob", None)
        unfinished = []
        for training_job in training_jobs:
            self.launched += 1
            which, within = self._place(training_job["_number"])
            search, value = self.branches[which].search, objective_of(training_job)
            if training_job["TrainingJobStatus"] in HOLDING:
                search.expect(within, training_job["_tuned"])
                unfinished.append(training_job)
                continue
            if value is not None:
                search.learn(training_job["_tuned"], value)
            self._settle(training_job)
        return unfinished

    def conclude(self) -> str:
        """Its final status, once nothing runs any more."""
        completed = self.record["TrainingJobStatusCounters"]["Completed"]
        found = any(branch.objectives for branch in self.branches)
        if self.timer:
            self.timer.cancel()
        self.record["TuningJobCompletionDetails"] = self._details()
        if self.stopping:
            return "Stopped"
        if self.enough or found or completed:
            return "Completed"
        self.record["FailureReason"] = NOTHING_WORKED
        return "Failed"

    def _settle(self, training_job: Record) -> None:
        """What is counted of a training job that has ended."""
        kind = COUNTED[training_job["TrainingJobStatus"]]
        kind = "RetryableError" if is_retryable(training_job) else kind
        self.record["TrainingJobStatusCounters"][kind] += 1
        value = objective_of(training_job)
        outcome = "Succeeded" if value is not None else "Failed"
        self.record["ObjectiveStatusCounters"][outcome] += 1
        if value is None:
            return
        branch = self.branches[self._place(training_job["_number"])[0]]
        branch.objectives.append(value)
        self.enough = self.enough or branch.criteria.met(branch.objectives) or ""
        for best in ("BestTrainingJob", "OverallBestTrainingJob"):
            if best in self._bests() and is_better(
                training_job["_objective"], value, self.record.get(best)
            ):
                self.record[best] = summary(training_job)

    def _bests(self) -> tuple[str, ...]:
        """The best of all, parents included, is told only where all did the same."""
        identical = self.record.get("WarmStartConfig", {}).get("WarmStartType") == IDENTICAL
        return ("BestTrainingJob", "OverallBestTrainingJob") if identical else ("BestTrainingJob",)

    def _place(self, number: int) -> tuple[int, int]:
        """Which definition a training job is of, and its number among those."""
        if self._places:
            return self._places[number]
        within, which = divmod(number, len(self.branches))
        return which, within

    def _details(self) -> Record:
        """TuningJobCompletionDetails."""
        improving = [
            since_best([v if b.criteria.maximise else -v for v in b.objectives])
            for b in self.branches
            if b.objectives
        ]
        return {"NumberOfTrainingJobsObjectiveNotImproving": min(improving, default=0)}


def tuning_of(record: Record) -> Tuning:
    """Of a tuning job's record, nothing of it started.

    Raises:
        ApiError: the record contradicts itself.
    """
    config = record["HyperParameterTuningJobConfig"]
    seed = config.get("RandomSeed", seed_of(record["HyperParameterTuningJobName"]))
    branches = []
    for index, definition in enumerate(definitions_of(record)):
        objective = objective_for(record, definition)
        maximise = objective["Type"] == "Maximize"
        branches.append(
            Branch(
                definition=definition,
                objective=objective,
                search=Search(config, ranges_of(record, definition), maximise, seed + index),
                referee=referee(config, maximise=maximise),
                criteria=Criteria.of(config, maximise=maximise),
            )
        )
    return Tuning(record, branches)


def zeros() -> tuple[Record, Record]:
    """TrainingJobStatusCounters and ObjectiveStatusCounters of a new tuning job."""
    statuses = ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")
    return dict.fromkeys(statuses, 0), dict.fromkeys(("Succeeded", "Pending", "Failed"), 0)


def _interleaved(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Places of all points of several grids, in turn."""
    for number in range(max(sizes)):
        for which, size in enumerate(sizes):
            if number < size:
                yield which, number
