"""What a tuning job can use at most: instance-seconds, and their price. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.tuning_job.api_schema import ApiRequest, definitions

# StoppingCondition: a training job's time where nothing else is said.
DEFAULT_RUN_SECONDS = 24 * 3600
HOUR = 3600

Use = Mapping[str, int]  # instance type -> seconds


def most_used(api_request: ApiRequest) -> list[Use]:
    """Instance-seconds by instance type: instances x run time at most x training jobs.

    Every training job may run for as long as its stopping condition lets it, retries included,
    and keep its instances warm after it; the time limit of the tuning job bounds all of them
    together. Where SageMaker chooses among definitions or instance types, any of them may get
    all the training jobs.

    Returns:
        One for each choice that SageMaker has.
    """
    limits = api_request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    uses: list[Use] = []
    for definition in definitions(api_request):
        stop = definition.get("StoppingCondition", {})
        each = stop.get("MaxRuntimeInSeconds", DEFAULT_RUN_SECONDS)
        each += definition.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0)
        seconds = limits.get("MaxNumberOfTrainingJobs", aws_limits.TRAINING_JOBS) * each
        if "MaxRuntimeInSeconds" in limits:
            seconds = min(
                seconds, limits["MaxParallelTrainingJobs"] * limits["MaxRuntimeInSeconds"]
            )
        uses += [
            {instance_type: count * seconds for instance_type, count in instances.items()}
            for instances in _choices(definition)
        ]
    return uses


def most_instance_seconds(api_request: ApiRequest) -> int:
    """The same of all instance types together."""
    return max((sum(use.values()) for use in most_used(api_request)), default=0)


def most_cost(uses: Sequence[Use], prices: Mapping[str, float]) -> float | None:
    """What that comes to.

    Args:
        uses: as from ``most_used``.
        prices: instance type -> USD an hour of one instance.

    Returns:
        USD; None where a price is missing.
    """
    if not uses or not all(each in prices for use in uses for each in use):
        return None
    return max(sum(prices[each] * seconds / HOUR for each, seconds in use.items()) for use in uses)


def _choices(definition: Mapping[str, Any]) -> Iterator[Mapping[str, int]]:
    """Instances of one training job by type; the groups of a cluster run at the same time."""
    for field in ("ResourceConfig", "HyperParameterTuningResourceConfig"):
        resources = definition.get(field, {})
        if "InstanceType" in resources:
            yield {resources["InstanceType"]: resources.get("InstanceCount", 1)}
        groups: Counter[str] = Counter()
        for group in resources.get("InstanceGroups", ()):
            groups[group["InstanceType"]] += group["InstanceCount"]
        if groups:
            yield groups
        for each in resources.get("InstanceConfigs", ()):
            yield {each["InstanceType"]: each["InstanceCount"]}
