"""Limits that SageMaker documents and its service model does not contain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.settings import Limits
from hpo_dispatcher.tuning_job.api.alternatives import check_alternatives
from hpo_dispatcher.tuning_job.api.schema import ApiRequest, definitions, instance_types
from hpo_dispatcher.tuning_job.api.search_space import (
    check_grid,
    combinations_of,
    training_jobs_of,
)

_TRAINING_JOBS = "resource_limits.max_training_jobs"
_PARALLEL = "resource_limits.max_parallel_training_jobs"
HYPERBAND = "overrides.HyperParameterTuningJobConfig.StrategyConfig"


def check_account_limits(api_request: ApiRequest, limits: Limits) -> None:
    """Check a new request against the account's quotas on a single tuning job.

    A request that was accepted before is not checked again: SageMaker refuses it by naming the
    quota, and it waits until AWS has raised the quota.

    Args:
        api_request: a request that conforms to the service model.
        limits: the settings of the deployment.

    Raises:
        InvalidRequest: naming the quota that AWS would have to raise.
    """
    config = api_request["HyperParameterTuningJobConfig"]
    asked = config["ResourceLimits"]
    parallel, most = asked["MaxParallelTrainingJobs"], limits.parallel_training_jobs
    if parallel > most:
        quota, setting = aws_limits.PARALLEL_TRAINING_JOBS_QUOTA, "parallel_training_jobs"
        problem = f"{parallel} in parallel exceed this account's limit of {most}"
        raise InvalidRequest(_PARALLEL, problem, f"Lower it{_or_raise(quota, setting)}")
    total, most = asked.get("MaxNumberOfTrainingJobs", 0), limits.random_training_jobs
    if config["Strategy"] == "Random" and total > most:
        quota, setting = aws_limits.RANDOM_TRAINING_JOBS_QUOTA, "random_training_jobs"
        problem = f"{total} training jobs exceed this account's limit of {most} for strategy Random"
        split = "Split it over several requests (`hpoq campaign plan` does)"
        raise InvalidRequest(_TRAINING_JOBS, problem, f"{split}{_or_raise(quota, setting)}")


def check_inherited(api_request: ApiRequest, inherited: int, limits: Limits) -> None:
    """Check a Random search with warm start parents against the account's quota.

    "All training jobs launched by parent hyperparameter tuning jobs and the new hyperparameter
    tuning jobs count against the limit of training jobs for the tuning job"
    (HyperParameterTuningJobWarmStartConfig in the API reference). How many the parents launched is
    known once they have ended.

    Args:
        api_request: a request that conforms to the service model.
        inherited: number of training jobs of its warm start parents.
        limits: the settings of the deployment.

    Raises:
        InvalidRequest: naming the quota that AWS would have to raise.
    """
    total, most = training_jobs_of(api_request) or 0, limits.random_training_jobs
    is_random = api_request["HyperParameterTuningJobConfig"]["Strategy"] == "Random"
    if is_random and total <= most < total + inherited:
        of_both = f"{total} training jobs plus {inherited} of its parents"
        raise InvalidRequest(
            _TRAINING_JOBS,
            f"{of_both} exceed this account's limit of {most} for strategy Random",
            "Lower it" + _or_raise(aws_limits.RANDOM_TRAINING_JOBS_QUOTA, "random_training_jobs"),
        )


def _or_raise(quota: str, setting: str) -> str:
    return f", or have AWS raise the quota '{quota}' and set limits.{setting} to its new value"


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
    check_grid(api_request)
    count, most = training_jobs_of(api_request), aws_limits.training_jobs_limit(strategy)
    if count is not None and count + inherited > most:
        of_parents = f" plus {inherited} of its parents" if inherited else ""
        raise InvalidRequest(
            _TRAINING_JOBS,
            f"{count} training jobs{of_parents} exceed the limit of {most} for strategy {strategy}",
            "Split it over several requests; `hpoq campaign plan` does",
        )
    total = limits.get("MaxNumberOfTrainingJobs")
    if total is not None and limits["MaxParallelTrainingJobs"] > total:
        raise InvalidRequest(
            _PARALLEL,
            f"{limits['MaxParallelTrainingJobs']} in parallel, but only {total} in total",
            "Lower it or raise max_training_jobs",
        )
    _check_early_stopping(config)
    points = combinations_of(api_request)
    if total is not None and total > points:
        raise InvalidRequest(
            _TRAINING_JOBS,
            f"{total} training jobs, but the search space has {points:.0f} combinations",
            f"Lower it to {points:.0f}, or widen hyperparameter_ranges",
        )
    for definition in definitions(api_request):
        _check_definition(config, definition)
        _check_hyperband(config, definition)


def _check_early_stopping(config: Mapping[str, Any]) -> None:
    early_stopping = config.get("TrainingJobEarlyStoppingType", "Off")
    if config["Strategy"] == "Hyperband" and early_stopping != "Off":
        raise InvalidRequest(
            "overrides.HyperParameterTuningJobConfig.TrainingJobEarlyStoppingType",
            "Hyperband stops training jobs itself",
            "Set it to Off",
        )


def _check_hyperband(config: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    """Check that SageMaker knows or can infer the most epochs of a training job."""
    resources = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    epochs = aws_limits.epochs_of(definition.get("StaticHyperParameters", {}))
    if config["Strategy"] == "Hyperband" and "MaxResource" not in resources and not epochs:
        raise InvalidRequest(
            HYPERBAND,
            "Hyperband needs MaxResource, and no fixed hyperparameter gives a number of epochs",
            'Set it to {"HyperbandStrategyConfig": {"MaxResource": 27}}, or fix a number of epochs',
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
            "Add it",
        )
    objective = definition.get("TuningObjective") or config.get("HyperParameterTuningJobObjective")
    if not objective:
        raise InvalidRequest("objective", "missing", "Name the metric to optimize")
    _check_metric(definition, objective["MetricName"])
    check_alternatives(definition)
    _check_volume_key(definition)
    _check_waiting(definition)


def _check_volume_key(definition: Mapping[str, Any]) -> None:
    """Check that no key is given for a local disk: ResourceConfig in the API reference."""
    for field in ("ResourceConfig", "HyperParameterTuningResourceConfig"):
        if not definition.get(field, {}).get("VolumeKmsKeyId"):
            continue
        local = list(filter(aws_limits.has_local_storage, instance_types(definition)))
        if local:
            raise InvalidRequest(
                f"TrainingJobDefinition.{field}.VolumeKmsKeyId",
                f"{local[0]} uses local storage, which its hardware encrypts without a key",
                "Remove it, or use an instance type without local storage",
            )


def _check_waiting(definition: Mapping[str, Any]) -> None:
    """Check the time that spot training waits for instances: StoppingCondition in the reference."""
    stopping = definition["StoppingCondition"]
    wait = stopping.get("MaxWaitTimeInSeconds")
    run = stopping.get("MaxRuntimeInSeconds", aws_limits.DEFAULT_RUN_SECONDS)
    field = "TrainingJobDefinition.StoppingCondition.MaxWaitTimeInSeconds"
    if not definition.get("EnableManagedSpotTraining"):
        if wait is not None:
            fix = "Remove it, or set EnableManagedSpotTraining to true"
            raise InvalidRequest(field, "only spot training accepts it", fix)
    elif wait is None or wait < run:
        problem = "missing" if wait is None else f"{wait} is less than MaxRuntimeInSeconds, {run}"
        fix = f"Set it to at least {run}: spot training waits and runs no longer than this"
        raise InvalidRequest(field, problem, fix)


def _check_metric(definition: Mapping[str, Any], metric: str) -> None:
    """Check that the metric definitions find the objective metric in the log.

    SageMaker: "A metric is required for this hyperparameter tuning job objective. Provide a metric
    in the metric definitions." (aws/amazon-sagemaker-examples issue 1207). Built-in algorithms and
    those of AWS Marketplace define their metrics.
    """
    algorithm = definition["AlgorithmSpecification"]
    defined = [each["Name"] for each in algorithm.get("MetricDefinitions", ())]
    is_script = "sagemaker_program" in definition.get("StaticHyperParameters", {})
    image = algorithm.get("TrainingImage", "")
    has_own_metrics = "AlgorithmName" in algorithm or (
        aws_limits.is_built_in_algorithm(image) and not is_script
    )
    if not defined and not has_own_metrics:
        raise InvalidRequest(
            "objective.metric",
            f"no metric definition finds {metric!r} in the log of the training jobs",
            "Add it to AlgorithmSpecification.MetricDefinitions",
        )
    if defined and metric not in defined:
        raise InvalidRequest(
            "objective.metric",
            f"no metric definition has the name {metric!r}",
            f"Use one of {', '.join(defined)}",
        )
