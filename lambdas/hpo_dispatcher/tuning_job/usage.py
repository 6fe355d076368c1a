"""The most that a tuning job can use: instances, instance-seconds and their cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.entry import HOUR
from hpo_dispatcher.tuning_job.api.schema import ApiRequest, definitions, instance_choices
from hpo_dispatcher.tuning_job.api.search_space import training_jobs_of

Use = Mapping[str, int]  # instance type -> seconds


def instances_of(api_request: ApiRequest) -> dict[str, int]:
    """Return the instances per type and purchase option that the tuning job may use at once.

    The names are those of ``aws_limits.instances_resource``. If there are several definitions or
    instance types, SageMaker may give all parallel training jobs to any of them, so each counts
    with its maximum. All of them together run MaxParallelTrainingJobs at most. The result contains
    their total if it is less than the sum over the types.
    """
    config = api_request["HyperParameterTuningJobConfig"]
    parallel = config["ResourceLimits"]["MaxParallelTrainingJobs"]
    instances: dict[str, int] = {}
    most: dict[str, int] = {}  # in all, by purchase option
    for definition in definitions(api_request):
        spot = definition.get("EnableManagedSpotTraining", False)
        for choice in instance_choices(definition):
            for instance_type, count in choice.items():
                resource = aws_limits.instances_resource(instance_type, spot=spot)
                instances[resource] = max(instances.get(resource, 0), parallel * count)
            total = aws_limits.ALL_SPOT_INSTANCES if spot else aws_limits.ALL_INSTANCES
            most[total] = max(most.get(total, 0), parallel * sum(choice.values()))
    sums = aws_limits.totals_of(instances)
    return instances | {total: count for total, count in most.items() if count < sums[total]}


def most_used(api_request: ApiRequest) -> list[Use]:
    """Return instance-seconds by instance type: instances x maximum run time x training jobs.

    Every training job may run as long as its stopping condition allows, retries included, and keep
    its instances warm afterward. The time limit of the tuning job bounds all of them together. If
    SageMaker chooses among definitions or instance types, any of them may get all training jobs.

    Returns:
        One mapping for each choice that SageMaker has.
    """
    limits = api_request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    training_jobs = training_jobs_of(api_request) or aws_limits.TRAINING_JOBS
    uses: list[Use] = []
    for definition in definitions(api_request):
        stop = definition.get("StoppingCondition", {})
        each = stop.get("MaxRuntimeInSeconds", aws_limits.DEFAULT_RUN_SECONDS)
        each += definition.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0)
        seconds = training_jobs * each
        if "MaxRuntimeInSeconds" in limits:
            seconds = min(
                seconds, limits["MaxParallelTrainingJobs"] * limits["MaxRuntimeInSeconds"]
            )
        uses += [
            {instance_type: count * seconds for instance_type, count in instances.items()}
            for instances in instance_choices(definition)
        ]
    return uses


def most_instance_seconds(api_request: ApiRequest) -> int:
    """Return the most instance-seconds that a tuning job can use, over all instance types."""
    return max((sum(use.values()) for use in most_used(api_request)), default=0)


def most_cost(uses: Sequence[Use], prices: Mapping[str, float]) -> float | None:
    """Return the highest cost of a tuning job.

    Args:
        uses: the result of ``most_used``.
        prices: USD per instance-hour by instance type.

    Returns:
        The cost in USD; None if a price is missing.
    """
    if not uses or not all(each in prices for use in uses for each in use):
        return None
    return max(sum(prices[each] * seconds / HOUR for each, seconds in use.items()) for use in uses)
