"""The rules of SageMaker that botocore's description of the API does not contain."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from hpo_dispatcher.contract.aws_limits import (
    PARALLEL_TRAINING_JOBS,
    SEARCHED_HYPERPARAMETERS,
    TRAINING_JOBS,
    training_jobs_limit,
)
from hpoq.local.sagemaker.errors import invalid
from hpoq.local.sagemaker.java_patterns import UnsupportedRegex, compiled
from hpoq.local.sagemaker.records import (
    definitions_of,
    objective_metric,
    ranges_of,
    searched_names,
)
from hpoq.local.sagemaker.resource_rules import resource_problems

Record = Mapping[str, Any]
HYPERBAND_RESOURCES = 20_000  # API_HyperbandStrategyConfig.html: "The maximum value is 20,000"
# API_HyperParameterTrainingJobDefinition.html: "the sum of the number of environment variables for
# all the training job definitions can't exceed the maximum number specified" for one of them.
ENVIRONMENT_VARIABLES = 48

CATEGORICAL = "CategoricalParameterRanges"
ONLY_CATEGORICAL = "The Grid strategy searches categorical hyperparameters, and only those."


def check_tuning_job(request: dict[str, Any]) -> None:
    """Raise the first problem of a request for a tuning job.

    Raises:
        ApiError: if the tuning job may not be created.
    """
    for problem in _problems(request):
        raise invalid(problem)


def check_definitions(request: Record) -> None:
    """Check that a request has training job definitions in exactly one of the two fields.

    Raises:
        ApiError: if it has none, or has both fields.
    """
    if ("TrainingJobDefinition" in request) == bool(request.get("TrainingJobDefinitions")):
        raise invalid(
            "Exactly one of TrainingJobDefinition and TrainingJobDefinitions is required."
        )


def check_grid(request: dict[str, Any]) -> None:
    """Check that Autotune, which chooses ranges of numbers, chooses none of a Grid.

    Raises:
        ApiError: if it does.
    """
    spaces = [ranges_of(request, each) for each in definitions_of(request)]
    is_grid = request["HyperParameterTuningJobConfig"]["Strategy"] == "Grid"
    if is_grid and any(each.get("AutoParameters") for each in spaces):
        raise invalid(ONLY_CATEGORICAL)


def check_training_job(request: Record) -> None:
    """Raise the first problem of a request for a training job.

    Raises:
        ApiError: if the training job may not be created.
    """
    checks = (
        _tag_problems, _missing_fields, resource_problems, _algorithm_problems,
        _channel_problems, _debugger_problems,
    )  # fmt: skip
    for problem in chain.from_iterable(check(request) for check in checks):
        raise invalid(problem)


def _problems(request: dict[str, Any]) -> Iterator[str]:
    yield from _tag_problems(request)
    yield from _parent_problems(request)
    yield from _limit_problems(request["HyperParameterTuningJobConfig"])
    definitions = definitions_of(request)
    if len(definitions) > 1:
        yield from _naming_problems(definitions)
        yield from _environment_problems(definitions)
    for definition in definitions:
        yield from _definition_problems(request, definition)
        yield from _algorithm_problems(definition)
        yield from _channel_problems(definition)
        yield from resource_problems(definition)


def _parent_problems(request: Record) -> Iterator[str]:
    config = request.get("WarmStartConfig", {})
    parents = config.get("ParentHyperParameterTuningJobs", ())
    if not all(each.get("HyperParameterTuningJobName") for each in parents):
        yield "Each of the ParentHyperParameterTuningJobs needs a HyperParameterTuningJobName."


def _limit_problems(config: Record) -> Iterator[str]:
    limits = config["ResourceLimits"]
    if config["Strategy"] != "Hyperband" and "StrategyConfig" in config:
        yield "StrategyConfig is only valid for the Hyperband strategy."
    hyperband = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    if hyperband.get("MaxResource", 0) > HYPERBAND_RESOURCES:
        yield f"MaxResource {hyperband['MaxResource']} is more than {HYPERBAND_RESOURCES}."
    jobs, parallel = limits.get("MaxNumberOfTrainingJobs"), limits["MaxParallelTrainingJobs"]
    most = training_jobs_limit(config["Strategy"])
    if parallel > PARALLEL_TRAINING_JOBS:
        yield f"MaxParallelTrainingJobs {parallel} is more than {PARALLEL_TRAINING_JOBS}."
    if jobs is not None and jobs > most:
        yield f"MaxNumberOfTrainingJobs {jobs} is more than {most} for {config['Strategy']}."
    if jobs is not None and parallel > jobs:
        yield (
            f"MaxParallelTrainingJobs {parallel} is greater than MaxNumberOfTrainingJobs {jobs}."
        )


def _naming_problems(definitions: list[dict[str, Any]]) -> Iterator[str]:
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


def _environment_problems(definitions: list[dict[str, Any]]) -> Iterator[str]:
    count = sum(len(each.get("Environment", ())) for each in definitions)
    if count > ENVIRONMENT_VARIABLES:
        yield (
            f"The training job definitions have {count} environment variables together, which is "
            f"more than {ENVIRONMENT_VARIABLES}."
        )


def _definition_problems(request: dict[str, Any], definition: dict[str, Any]) -> Iterator[str]:
    ranges = ranges_of(request, definition)
    names = Counter(searched_names(ranges))
    static = definition.get("StaticHyperParameters", {})
    if len(names) > SEARCHED_HYPERPARAMETERS:
        most = SEARCHED_HYPERPARAMETERS
        yield f"{len(names)} hyperparameters are searched; at most {most} can be."
    for name, count in names.items():
        if count > 1:
            yield f"The hyperparameter {name} has {count} ranges."
        if name in static:
            yield f"The hyperparameter {name} is both static and searched."
    strategy = request["HyperParameterTuningJobConfig"]["Strategy"]
    categorical = len(ranges.get(CATEGORICAL, ()))
    if strategy == "Grid" and not 0 < categorical == len(names):
        yield ONLY_CATEGORICAL
    metric = objective_metric(request, definition)["MetricName"]
    defined = definition["AlgorithmSpecification"].get("MetricDefinitions", ())
    known = [each["Name"] for each in defined]
    if not known:
        yield (
            "A metric is required for this hyperparameter tuning job objective. Provide a metric "
            "in the metric definitions."
        )
    if metric not in known:
        yield (
            f"The objective metric for the hyperparameter tuning job, [{metric}], isn't valid for "
            f"the training algorithm. Choose one of: {', '.join(known)}."
        )


def check_combinations(request: dict[str, Any]) -> None:
    """Check that the search space has a point for each training job.

    Args:
        request: for a tuning job whose ranges are valid.

    Raises:
        ApiError: if it has fewer points, or a grid has more than a tuning job may try.
    """
    config = request["HyperParameterTuningJobConfig"]
    jobs = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    points = sum(combinations(ranges_of(request, each)) for each in definitions_of(request))
    if config["Strategy"] == "Grid" and points > TRAINING_JOBS:
        raise invalid(
            f"The grid has {points:.0f} combinations, which is more than {TRAINING_JOBS}."
        )
    if jobs is not None and points < jobs:
        raise invalid(
            "You don't have enough combinations of hyperparameter ranges. The total number of "
            f"hyperparameter combinations for the provided ranges [{float(points)}] must be equal "
            f"or greater than the value of MaxNumberOfJobs, [{jobs}]. Provide additional ranges."
        )


def combinations(ranges: Record) -> float:
    """Return the number of points of ParameterRanges, which is infinite with a continuous one."""
    continuous = ranges.get("ContinuousParameterRanges", ())
    if any(float(each["MinValue"]) != float(each["MaxValue"]) for each in continuous):
        return math.inf
    integers = (
        int(float(each["MaxValue"])) - int(float(each["MinValue"])) + 1
        for each in ranges.get("IntegerParameterRanges", ())
    )
    categories = (len(set(each["Values"])) for each in ranges.get(CATEGORICAL, ()))
    return math.prod(integers) * math.prod(categories)


def _missing_fields(request: Record) -> Iterator[str]:
    """Yield the fields that a training job needs here although the API makes them optional."""
    for field in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if field not in request:
            yield f"{field} is required."


def _algorithm_problems(definition: Record) -> Iterator[str]:
    algorithm = definition["AlgorithmSpecification"]
    named = [each for each in ("TrainingImage", "AlgorithmName") if algorithm.get(each)]
    if len(named) != 1:
        yield (
            "You must specify exactly one of TrainingImage and AlgorithmName in the "
            "AlgorithmSpecification."
        )
    for each in algorithm.get("MetricDefinitions", ()):
        try:
            compiled(each["Regex"])
        except UnsupportedRegex as error:
            yield (
                f"The regular expression [{each['Regex']}] of the metric definition "
                f"[{each['Name']}] is not valid: {error}."
            )


def _tag_problems(request: Record) -> Iterator[str]:
    keys = Counter(each["Key"] for each in request.get("Tags", ()))
    for key, count in keys.items():
        if key.lower().startswith("aws:"):
            yield f"The tag key {key} begins with aws:, which is reserved for system use."
        if count > 1:
            yield f"The tag key {key} is used {count} times. Tag keys must be unique."


def _channel_problems(definition: Record) -> Iterator[str]:
    names = Counter(each["ChannelName"] for each in definition.get("InputDataConfig", ()))
    for each in definition.get("InputDataConfig", ()):
        if len(each["DataSource"]) != 1:
            yield f"The DataSource of the channel {each['ChannelName']} needs exactly one source."
        kind = each["DataSource"].get("S3DataSource", {}).get("S3DataType")
        default = definition["AlgorithmSpecification"].get("TrainingInputMode")
        if kind == "AugmentedManifestFile" and each.get("InputMode", default) != "Pipe":
            yield (
                f"The channel {each['ChannelName']} is an AugmentedManifestFile, which can only be "
                "used if the input mode of the channel is Pipe."
            )
    for name, count in names.items():
        if count > 1:
            yield f"The channel name {name} is used {count} times. Channel names must be unique."
        if not name.strip("."):
            yield f"The channel name {name} is not valid."
    local = definition.get("CheckpointConfig", {}).get("LocalPath", "")
    if ".." in local.split("/"):
        yield f"The LocalPath {local} of the CheckpointConfig is not valid."


def _debugger_problems(request: Record) -> Iterator[str]:
    for field in ("DebugRuleConfigurations", "ProfilerRuleConfigurations"):
        names = Counter(each.get("RuleConfigurationName") for each in request.get(field, ()))
        for name, count in names.items():
            if count > 1:
                yield f"The RuleConfigurationName {name} is used {count} times in {field}."
