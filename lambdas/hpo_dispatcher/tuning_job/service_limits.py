"""Limits that SageMaker documents and its service model does not contain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract.aws_limits import training_jobs_limit
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.tuning_job.api_schema import ApiRequest, definitions


def check_documented_limits(api_request: ApiRequest, inherited: int) -> None:
    """Check a request against SageMaker's documented limits.

    Args:
        api_request: a request that conforms to the service model.
        inherited: number of training jobs of its warm start parents.

    Raises:
        InvalidRequest: SageMaker would reject the request.
    """
    config = api_request["HyperParameterTuningJobConfig"]
    limits, strategy = config["ResourceLimits"], config["Strategy"]
    total = limits.get("MaxNumberOfTrainingJobs")
    most = training_jobs_limit(strategy)
    field = "resource_limits.max_training_jobs"
    if total is not None and total + inherited > most:
        of_parents = f" plus {inherited} of its parents" if inherited else ""
        raise InvalidRequest(
            field,
            f"{total} training jobs{of_parents} exceed the limit of {most} for strategy {strategy}",
            "Split it over several requests; `hpoq campaign plan` does",
        )
    if total is not None and limits["MaxParallelTrainingJobs"] > total:
        raise InvalidRequest(
            "resource_limits.max_parallel_training_jobs",
            f"{limits['MaxParallelTrainingJobs']} in parallel, but only {total} in total",
            "Lower it or raise max_training_jobs",
        )
    _check_strategy(config, definitions(api_request))
    for definition in definitions(api_request):
        _check_definition(config, definition)


def _check_strategy(config: Mapping[str, Any], of_definitions: Sequence[Mapping[str, Any]]) -> None:
    strategy = config["Strategy"]
    if strategy == "Hyperband" and config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
        raise InvalidRequest(
            "overrides.HyperParameterTuningJobConfig.TrainingJobEarlyStoppingType",
            "Hyperband stops training jobs itself",
            "Set it to Off",
        )
    ranges = [config.get("ParameterRanges", {})]
    ranges += [definition.get("HyperParameterRanges", {}) for definition in of_definitions]
    numeric = ("ContinuousParameterRanges", "IntegerParameterRanges")
    if strategy == "Grid" and any(each.get(kind) for each in ranges for kind in numeric):
        raise InvalidRequest(
            "hyperparameter_ranges",
            "Grid searches categorical ranges only",
            "List the values, or use Random",
        )


def _check_definition(config: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    ranges = definition.get("HyperParameterRanges") or config.get("ParameterRanges", {})
    searched = [each["Name"] for kind in ranges.values() for each in kind]
    static = definition.get("StaticHyperParameters", {})
    for name in searched:
        if searched.count(name) > 1 or name in static:
            raise InvalidRequest(
                f"hyperparameter_ranges.{name}",
                "both searched and fixed, or given twice",
                "Keep one of them",
            )
        if name.startswith("sagemaker_"):
            raise InvalidRequest(
                f"hyperparameter_ranges.{name}",
                "names that begin with sagemaker_ are reserved for the container",
                "Rename the hyperparameter",
            )
    if not definition.get("ResourceConfig") and not definition.get(
        "HyperParameterTuningResourceConfig"
    ):
        raise InvalidRequest(
            "overrides.TrainingJobDefinition.ResourceConfig",
            "missing, so there is no instance type",
            "Set it there or in the template",
        )
    objective = definition.get("TuningObjective") or config.get("HyperParameterTuningJobObjective")
    if not objective:
        raise InvalidRequest("objective", "missing", "Name the metric to optimize")
    _check_metric(definition["AlgorithmSpecification"], objective["MetricName"])


def _check_metric(algorithm: Mapping[str, Any], metric: str) -> None:
    """Check that the metric definitions find the objective metric in the log."""
    defined = [each["Name"] for each in algorithm.get("MetricDefinitions", ())]
    if defined and metric not in defined:
        raise InvalidRequest(
            "objective.metric",
            f"the template does not define the metric {metric!r}",
            f"Use one of {', '.join(defined)}",
        )
