"""What SageMaker refuses beyond what botocore's description of its API says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from hpoq.local.sagemaker.errors import invalid
from hpoq.local.sagemaker.records import (
    definitions_of,
    objective_for,
    ranges_of,
    searched_names,
)

Record = Mapping[str, Any]

# https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-limits.html
MOST_PARALLEL = 100
MOST_SEARCHED = 30
MOST_TRAINING_JOBS = 750
MOST_RANDOM_TRAINING_JOBS = 10_000
CATEGORICAL = "CategoricalParameterRanges"


def most_training_jobs(config: Record) -> int:
    """Of one tuning job."""
    is_random = config["Strategy"] == "Random"
    return MOST_RANDOM_TRAINING_JOBS if is_random else MOST_TRAINING_JOBS


def check_tuning_job(request: dict[str, Any]) -> None:
    """Whether a tuning job may be created.

    Raises:
        ApiError: it may not; the first problem.
    """
    for problem in _problems(request):
        raise invalid(problem)


def check_definitions(request: Record) -> None:
    """Whether there is something to run.

    Raises:
        ApiError: there is not.
    """
    if ("TrainingJobDefinition" in request) == bool(request.get("TrainingJobDefinitions")):
        raise invalid(
            "Exactly one of TrainingJobDefinition and TrainingJobDefinitions is required."
        )


def check_training_job(request: Record) -> None:
    """Whether a training job may be created.

    Raises:
        ApiError: it may not.
    """
    for problem in _of_spot(request):
        raise invalid(problem)


def _problems(request: dict[str, Any]) -> Iterator[str]:
    yield from _of_limits(request["HyperParameterTuningJobConfig"])
    definitions = definitions_of(request)
    if len(definitions) > 1:
        yield from _of_several(definitions)
    for definition in definitions:
        yield from _of_definition(request, definition)
        yield from _of_spot(definition)


def _of_limits(config: Record) -> Iterator[str]:
    limits = config["ResourceLimits"]
    jobs, parallel = limits.get("MaxNumberOfTrainingJobs"), limits["MaxParallelTrainingJobs"]
    most = most_training_jobs(config)
    if parallel > MOST_PARALLEL:
        yield f"MaxParallelTrainingJobs {parallel} is more than {MOST_PARALLEL}."
    if jobs is not None and jobs > most:
        yield f"MaxNumberOfTrainingJobs {jobs} is more than {most} for {config['Strategy']}."
    if jobs is not None and parallel > jobs:
        yield (
            f"MaxParallelTrainingJobs {parallel} is greater than MaxNumberOfTrainingJobs {jobs}."
        )


def _of_several(definitions: list[dict[str, Any]]) -> Iterator[str]:
    names = Counter(definition.get("DefinitionName") for definition in definitions)
    if None in names:
        yield "Each of several TrainingJobDefinitions needs a DefinitionName."
    for name, count in names.items():
        if count > 1:
            yield f"The DefinitionName {name} is used {count} times."
    for definition in definitions:
        for field in ("TuningObjective", "HyperParameterRanges"):
            if field not in definition:
                yield f"Definition {definition['DefinitionName']} needs its own {field}."


def _of_definition(request: dict[str, Any], definition: dict[str, Any]) -> Iterator[str]:
    ranges = ranges_of(request, definition)
    names = Counter(searched_names(ranges))
    static = definition.get("StaticHyperParameters", {})
    if len(names) > MOST_SEARCHED:
        yield f"{len(names)} hyperparameters are searched; at most {MOST_SEARCHED} can be."
    for name, count in names.items():
        if count > 1:
            yield f"The hyperparameter {name} has {count} ranges."
        if name in static:
            yield f"The hyperparameter {name} is both static and searched."
    strategy = request["HyperParameterTuningJobConfig"]["Strategy"]
    categorical = len(ranges.get(CATEGORICAL, ()))
    if strategy == "Grid" and not 0 < categorical == len(names):
        yield "The Grid strategy searches categorical hyperparameters, and only those."
    metric = objective_for(request, definition)["MetricName"]
    known = [
        each["Name"] for each in definition["AlgorithmSpecification"].get("MetricDefinitions", ())
    ]
    if metric not in known:
        yield (
            f"The objective metric for the hyperparameter tuning job, [{metric}], isn't valid for "
            f"the training algorithm. Choose one of: {', '.join(known) or 'none is defined'}."
        )


def _of_spot(definition: Record) -> Iterator[str]:
    if not definition.get("EnableManagedSpotTraining"):
        return
    condition = definition["StoppingCondition"]
    wait, run = condition.get("MaxWaitTimeInSeconds"), condition.get("MaxRuntimeInSeconds", 86_400)
    if wait is None:
        yield "EnableManagedSpotTraining needs StoppingCondition.MaxWaitTimeInSeconds."
    elif wait < run:
        yield f"MaxWaitTimeInSeconds {wait} is less than MaxRuntimeInSeconds {run}."
