"""The rules about the instances of a training job, their volumes and how long they may run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpo_dispatcher.contract.aws_limits import TRAINING_RUNTIME_SECONDS, has_local_storage
from hpoq.local.sagemaker.records import resource_config

Record = Mapping[str, Any]
# API_ResourceConfig.html: "mutually exclusive with InstanceType, InstanceGroups,
# InstancePlacementConfig, and EnableManagedSpotTraining".
EXCLUDED_BY_PREFERENCES = ("InstanceType", "InstanceGroups", "InstancePlacementConfig")


def resource_problems(definition: Record) -> Iterator[str]:
    """Yield the problems of the instances of a training job or a training job definition."""
    resources = resource_config(dict(definition))
    groups = resources.get("InstanceGroups")
    if resources.get("InstancePreferences"):
        excluded = [each for each in EXCLUDED_BY_PREFERENCES if resources.get(each)]
        if definition.get("EnableManagedSpotTraining"):
            excluded.append("EnableManagedSpotTraining")
        for each in excluded:
            yield f"InstancePreferences is mutually exclusive with {each}."
    if groups and (resources.get("InstanceType") or resources.get("InstanceCount")):
        yield "A ResourceConfig with InstanceGroups has neither InstanceType nor InstanceCount."
    if not groups and not resources.get("InstanceType"):
        yield "A ResourceConfig needs an InstanceType or InstanceGroups."
    yield from _volume_problems(resources)
    yield from _time_problems(definition)


def _volume_problems(resources: Record) -> Iterator[str]:
    """Yield the problem of a key for a volume that its hardware encrypts."""
    kind = str(resources.get("InstanceType", ""))
    if resources.get("VolumeKmsKeyId") and has_local_storage(kind):
        yield f"VolumeKmsKeyId is not supported for {kind}, which uses local storage."


def _time_problems(definition: Record) -> Iterator[str]:
    condition = definition.get("StoppingCondition", {})
    if condition.get("MaxRuntimeInSeconds", 0) > TRAINING_RUNTIME_SECONDS:
        yield f"MaxRuntimeInSeconds is more than {TRAINING_RUNTIME_SECONDS}, which is 28 days."
    if not definition.get("EnableManagedSpotTraining"):
        if "MaxWaitTimeInSeconds" in condition:
            yield (
                "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining "
                "is set to true"
            )
        return
    wait, run = condition.get("MaxWaitTimeInSeconds"), condition.get("MaxRuntimeInSeconds", 86_400)
    if wait is None:
        yield "EnableManagedSpotTraining needs StoppingCondition.MaxWaitTimeInSeconds."
    elif wait < run:
        yield f"MaxWaitTimeInSeconds {wait} is less than MaxRuntimeInSeconds {run}."
