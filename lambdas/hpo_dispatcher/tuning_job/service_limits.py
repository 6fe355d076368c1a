"""What SageMaker documents about tuning jobs and its service model does not carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract.aws_limits import training_jobs_limit
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.tuning_job.api_schema import ApiRequest, definitions


def check_documented_limits(api_request: ApiRequest, inherited: int) -> None:
    """Raise InvalidRequest for what the service would refuse.

    Args:
        api_request: in the shape the service model asks for.
        inherited: training jobs of its warm start parents.
    """
    config = api_request["HyperParameterTuningJobConfig"]
    limits, strategy = config["ResourceLimits"], config["Strategy"]
    total = limits.get("MaxNumberOfTrainingJobs")
    most = training_jobs_limit(strategy)
    field = "resource_limits.max_training_jobs"
    if total is not None and total + inherited > most:
        of_parents = f" and {inherited} of its parents" if inherited else ""
        raise InvalidRequest(
            field,
            f"{total} training jobs{of_parents}, {most} at most with strategy {strategy}",
            "Split it over several requests; `hpoq campaign plan` does",
        )
    if total is not None and limits["MaxParallelTrainingJobs"] > total:
        raise InvalidRequest(
            "resource_limits.max_parallel_training_jobs",
            f"{limits['MaxParallelTrainingJobs']} in parallel, but only {total} in all",
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
                f"hyperparameter_ranges.{name}", "given twice", "Search it or fix it, not both"
            )
        if name.startswith("sagemaker_"):
            raise InvalidRequest(
                f"hyperparameter_ranges.{name}",
                "names that start with sagemaker_ steer the container",
                "Rename the hyperparameter",
            )
    if not definition.get("ResourceConfig") and not definition.get(
        "HyperParameterTuningResourceConfig"
    ):
        raise InvalidRequest(
            "overrides.TrainingJobDefinition.ResourceConfig",
            "no instance type",
            "Set it there or in the template",
        )
    objective = definition.get("TuningObjective") or config.get("HyperParameterTuningJobObjective")
    if not objective:
        raise InvalidRequest("objective", "missing", "Name the metric to optimise")
    _check_metric(definition["AlgorithmSpecification"], objective["MetricName"])


def _check_metric(algorithm: Mapping[str, Any], metric: str) -> None:
    """A custom image reports only what its metric definitions can find in its log."""
    defined = [each["Name"] for each in algorithm.get("MetricDefinitions", ())]
    if defined and metric not in defined:
        raise InvalidRequest(
            "objective.metric",
            f"{metric!r} is none of the template's metrics",
            f"Use one of {', '.join(defined)}",
        )
