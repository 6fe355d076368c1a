"""Warm starts: what a child may differ in from its parents, and what it learns from them.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-warm-start.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpoq.local.sagemaker.errors import ApiError, invalid
from hpoq.local.sagemaker.records import (
    HOLDING,
    IDENTICAL,
    definitions_of,
    is_better,
    objective_for,
    objective_of,
    ranges_of,
    searched_names,
)
from hpoq.local.sagemaker.tuning.tuning_run import Tuning

Record = dict[str, Any]
MOST_CHANGES = 10  # hyperparameters that were static and are searched now, or the reverse


def check(child: Record, parents: Sequence[Record], most: int) -> None:
    """Whether a child may start warm.

    Args:
        child: the request.
        parents: as described.
        most: training jobs that a tuning job may have, all of its parents' counted.

    Raises:
        ApiError: it may not.
    """
    identical = child.get("WarmStartConfig", {}).get("WarmStartType") == IDENTICAL
    mine = definitions_of(child)[0]
    for parent in parents:
        name = parent["HyperParameterTuningJobName"]
        theirs = definition_like(mine, parent)
        if parent["HyperParameterTuningJobStatus"] in HOLDING:
            raise invalid(f"The parent tuning job {name} has not ended.")
        if objective_for(child, mine) != objective_for(parent, theirs):
            raise _differs(name, "objective metric", objective_for(parent, theirs))
        tunable, static = _names(child, mine)
        were_tunable, were_static = _names(parent, theirs)
        if len(tunable | static) != len(were_tunable | were_static):
            count = len(were_tunable | were_static)
            raise _differs(name, "number of static and tunable hyperparameters", count)
        changed = (tunable & were_static) | (static & were_tunable)
        if len(changed) > MOST_CHANGES:
            raise invalid(
                f"{len(changed)} hyperparameters have changed between static and tunable since "
                f"the parent tuning job {name}; at most {MOST_CHANGES} can."
            )
        if identical:
            _check_identical(name, mine, theirs)
    _check_count(child, parents, most)


def _check_identical(parent: str, mine: Record, theirs: Record) -> None:
    image = theirs["AlgorithmSpecification"].get("TrainingImage")
    if mine["AlgorithmSpecification"].get("TrainingImage") != image:
        raise _differs(parent, "training image", image)
    if _data(mine) != _data(theirs):
        raise _differs(parent, "input data", "use TransferLearning for other data")


def _data(definition: Record) -> list[Record]:
    """Channels of data; the SDK's own ones hold the code, newly packed for each tuning job."""
    channels = definition.get("InputDataConfig", ())
    return [each for each in channels if each["ChannelName"] not in ("code", "sm_drivers")]


def _check_count(child: Record, parents: Sequence[Record], most: int) -> None:
    wanted = child["HyperParameterTuningJobConfig"]["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    before = sum(sum(parent["TrainingJobStatusCounters"].values()) for parent in parents)
    if wanted is not None and before + wanted > most:
        raise invalid(
            f"MaxNumberOfTrainingJobs {wanted} and the {before} training jobs of the parent tuning "
            f"jobs are more than the {most} that a tuning job may have."
        )


def learn(tuning: Tuning, parent: Record, training_jobs: Sequence[Record]) -> None:
    """Teach the searches of a child, by the names of its definitions, what a parent found."""
    for branch in tuning.branches:
        name = definition_like(branch.definition, parent).get("DefinitionName")
        for training_job in training_jobs:
            value = objective_of(training_job)
            if value is not None and training_job.get("_definition") == name:
                values = _values(training_job)
                branch.search.learn(values, value)
    if tuning.record.get("WarmStartConfig", {}).get("WarmStartType") == IDENTICAL:
        best = parent.get("BestTrainingJob")
        if best is None:
            return
        value = best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        objective = tuning.branches[0].objective
        if is_better(objective, value, tuning.record.get("OverallBestTrainingJob")):
            tuning.record["OverallBestTrainingJob"] = best


def definition_like(definition: Record, parent: Record) -> Record:
    """The parent's definition of the same name, or its first."""
    theirs = definitions_of(parent)
    name = definition.get("DefinitionName")
    return next((each for each in theirs if each.get("DefinitionName") == name), theirs[0])


def _values(training_job: Record) -> Mapping[str, str]:
    """Tuned or static: what was static then may be searched now."""
    return {**training_job["HyperParameters"], **training_job["_tuned"]}


def _names(job: Record, definition: Record) -> tuple[set[str], set[str]]:
    return set(searched_names(ranges_of(job, definition))), set(
        definition.get("StaticHyperParameters", {})
    )


def _differs(parent: str, what: str, theirs: object) -> ApiError:
    return invalid(
        f"The {what} of a warm start tuning job must be the same as that of its parent tuning job "
        f"{parent}: {theirs}."
    )
