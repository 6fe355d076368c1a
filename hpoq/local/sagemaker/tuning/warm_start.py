"""Warm start: how a child may differ from its parents, and how it uses their results.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-warm-start.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract.aws_limits import training_jobs_limit
from hpoq.local.sagemaker.errors import ApiError, invalid, not_found
from hpoq.local.sagemaker.records import (
    ACTIVE,
    IDENTICAL,
    definitions_of,
    final_objective,
    is_better,
    objective_metric,
    parent_names,
    ranges_of,
    searched_names,
)
from hpoq.local.sagemaker.store import JobTable
from hpoq.local.sagemaker.tuning.tuning_run import TuningRun

Record = dict[str, Any]
MOST_CHANGES = 10  # hyperparameters that change between static and searched


def check_parents(child: Record, tuning_jobs: JobTable) -> None:
    """Check that the parents of a tuning job exist and that it may start warm from them.

    Raises:
        ApiError: if a parent does not exist or the child may not start warm.
    """
    parents = []
    for name in parent_names(child):
        parent = tuning_jobs.get(name)
        if parent is None:
            raise not_found("tuning job", name)
        parents.append(parent)
    most = training_jobs_limit(child["HyperParameterTuningJobConfig"]["Strategy"])
    check(child, parents, most)


def check(child: Record, parents: Sequence[Record], most: int) -> None:
    """Check that a child may start warm from its parents.

    Args:
        child: the request.
        parents: the records of the parent tuning jobs.
        most: the limit of training jobs, including those of all parents.

    Raises:
        ApiError: if the child may not start warm.
    """
    identical = child.get("WarmStartConfig", {}).get("WarmStartType") == IDENTICAL
    mine = definitions_of(child)[0]
    for parent in parents:
        name = parent["HyperParameterTuningJobName"]
        theirs = definition_like(mine, parent)
        if parent["HyperParameterTuningJobStatus"] in ACTIVE:
            raise invalid(f"The parent tuning job {name} has not ended.")
        if objective_metric(child, mine) != objective_metric(parent, theirs):
            raise _differs(name, "objective metric", objective_metric(parent, theirs))
        tunable, static = _names(child, mine)
        parent_tunable, parent_static = _names(parent, theirs)
        if len(tunable | static) != len(parent_tunable | parent_static):
            count = len(parent_tunable | parent_static)
            raise _differs(name, "number of static and tunable hyperparameters", count)
        changed = (tunable & parent_static) | (static & parent_tunable)
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
    """Return the data channels, without the SDK's code channels, which always differ."""
    channels = definition.get("InputDataConfig", ())
    return [each for each in channels if each["ChannelName"] not in ("code", "sm_drivers")]


def _check_count(child: Record, parents: Sequence[Record], most: int) -> None:
    wanted = child["HyperParameterTuningJobConfig"]["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    earlier = sum(map(_launched, parents))
    if wanted is not None and earlier + wanted > most:
        raise invalid(
            f"MaxNumberOfTrainingJobs {wanted} and the {earlier} training jobs of the parent "
            f"tuning jobs are more than the {most} that a tuning job may have."
        )


def inherited(child: Record, tuning_jobs: JobTable) -> int:
    """Return how many training jobs the parents of a tuning job have launched."""
    parents = (tuning_jobs.get(name) for name in parent_names(child))
    return sum(_launched(parent) for parent in parents if parent)


def _launched(parent: Record) -> int:
    return sum(parent["TrainingJobStatusCounters"].values())


def add_parent_results(run: TuningRun, parent: Record, training_jobs: Sequence[Record]) -> None:
    """Add the results of a parent to the searches of its child's definitions."""
    for definition in run.definitions:
        name = definition_like(definition.request, parent).get("DefinitionName")
        for training_job in training_jobs:
            value = final_objective(training_job)
            if value is not None and training_job.get("_definition") == name:
                definition.search.add_result(_values(training_job), value)
    if run.record.get("WarmStartConfig", {}).get("WarmStartType") == IDENTICAL:
        best = parent.get("BestTrainingJob")
        if best is None:
            return
        value = best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        objective = run.definitions[0].objective
        if is_better(objective, value, run.record.get("OverallBestTrainingJob")):
            run.record["OverallBestTrainingJob"] = best


def definition_like(definition: Record, parent: Record) -> Record:
    """Return the parent's definition of the same name, or its first definition."""
    theirs = definitions_of(parent)
    name = definition.get("DefinitionName")
    return next((each for each in theirs if each.get("DefinitionName") == name), theirs[0])


def _values(training_job: Record) -> Mapping[str, str]:
    """Return all hyperparameters: one that was static may be searched in the child."""
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
