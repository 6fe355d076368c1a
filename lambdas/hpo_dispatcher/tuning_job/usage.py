"""The most that a tuning job can use: instance-seconds, and their cost. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.entry import HOUR
from hpo_dispatcher.tuning_job.api.schema import ApiRequest, definitions, instance_choices

Use = Mapping[str, int]  # instance type -> seconds


def most_used(api_request: ApiRequest) -> list[Use]:
    """Return instance-seconds by instance type: instances x maximum run time x training jobs.

    Every training job may run as long as its stopping condition allows, retries included, and keep
    its instances warm afterward. The time limit of the tuning job bounds all of them together. If
    SageMaker chooses among definitions or instance types, any of them may get all training jobs.

    Returns:
        One mapping for each choice that SageMaker has.
    """
    limits = api_request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    uses: list[Use] = []
    for definition in definitions(api_request):
        stop = definition.get("StoppingCondition", {})
        each = stop.get("MaxRuntimeInSeconds", aws_limits.DEFAULT_RUN_SECONDS)
        each += definition.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0)
        seconds = limits.get("MaxNumberOfTrainingJobs", aws_limits.TRAINING_JOBS) * each
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
