"""Fields of a training job definition of which it has one or the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract.errors import InvalidRequest

# What a definition cannot have beside each field, by the object that both are in. "If you want to
# use hyperparameter optimization with instance type flexibility, use
# HyperParameterTuningResourceConfig instead" of ResourceConfig; "if you use InstanceConfigs, do
# not provide values for InstanceType, VolumeSizeInGB or InstanceCount"; "InstancePreferences is
# mutually exclusive with InstanceType, InstanceGroups, InstancePlacementConfig", and has a count
# for each of its types or one for all; with an AlgorithmName, "do not specify a value for
# TrainingImage" (API reference). A group of instances has its own type and count.
INSTEAD_OF: Mapping[str, Mapping[str, Sequence[str]]] = {
    "TrainingJobDefinition": {
        "ResourceConfig": ("HyperParameterTuningResourceConfig",),
        "HyperParameterTuningResourceConfig": ("ResourceConfig",),
    },
    "ResourceConfig": {
        "InstanceType": ("InstanceGroups", "InstancePreferences"),
        "InstanceGroups": ("InstanceType", "InstanceCount", "InstancePreferences"),
        "InstancePreferences": (
            "InstanceType", "InstanceCount", "InstanceGroups", "InstancePlacementConfig",
        ),
    },
    "HyperParameterTuningResourceConfig": {
        "InstanceType": ("InstanceConfigs", "AllocationStrategy"),
        "InstanceConfigs": ("InstanceType", "InstanceCount", "VolumeSizeInGB"),
    },
    "AlgorithmSpecification": {
        "TrainingImage": ("AlgorithmName",),
        "AlgorithmName": ("TrainingImage",),
    },
}  # fmt: skip
# Those of which the API reference says that SageMaker rejects both.
_EXCLUSIVE = ("InstancePreferences", "InstanceConfigs")
_COUNT = "InstanceCount"


def without_replaced(
    name: str, below: Mapping[str, Any], above: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an object without the fields that another one has something else for.

    Args:
        name: of both objects, a key of ``INSTEAD_OF``.
        below: the object.
        above: the object that is merged over it.
    """
    instead_of = INSTEAD_OF[name]
    replaced = {other for field in above if field in instead_of for other in instead_of[field]}
    return {field: value for field, value in below.items() if field not in replaced}


def check_alternatives(definition: Mapping[str, Any]) -> None:
    """Check that a definition names its instances in one way.

    Raises:
        InvalidRequest: SageMaker would reject the definition.
    """
    for name in ("ResourceConfig", "HyperParameterTuningResourceConfig"):
        resources, path = definition.get(name, {}), f"TrainingJobDefinition.{name}"
        for field in filter(resources.__contains__, _EXCLUSIVE):
            others = [each for each in INSTEAD_OF[name].get(field, ()) if each in resources]
            if field == "InstancePreferences":
                others = [each for each in others if each != _COUNT]  # one for all of them
            if others:
                problem = f"SageMaker does not accept it together with {field}"
                raise InvalidRequest(f"{path}.{others[0]}", problem, "Remove one of them")
    _check_preferences(definition)


def _check_preferences(definition: Mapping[str, Any]) -> None:
    """Check the counts and the purchase option: InstancePreference in the API reference."""
    resources = definition.get("ResourceConfig", {})
    preferences = resources.get("InstancePreferences")
    if not preferences:
        return
    counted = [_COUNT in each for each in preferences]
    if all(counted) == (_COUNT in resources) or (any(counted) and not all(counted)):
        raise InvalidRequest(
            "TrainingJobDefinition.ResourceConfig.InstancePreferences",
            "neither each preference nor all of them together have one number of instances",
            "Set InstanceCount in each preference, or once in ResourceConfig",
        )
    if definition.get("EnableManagedSpotTraining"):
        raise InvalidRequest(
            "TrainingJobDefinition.ResourceConfig.InstancePreferences",
            "spot training does not support them",
            "Use InstanceType, or set EnableManagedSpotTraining to false",
        )
