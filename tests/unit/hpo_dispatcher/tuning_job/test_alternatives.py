"""Instances are named in one way: ResourceConfig, InstancePreference and
HyperParameterTuningResourceConfig in the API reference.
"""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.tuning_job.api.alternatives import check_alternatives
from tests.support.tuning_requests import definition, job

M5, G5 = "ml.m5.large", "ml.g5.xlarge"
ONE_EACH = [{"InstanceType": M5, "InstanceCount": 1}, {"InstanceType": G5, "InstanceCount": 2}]
UNCOUNTED = [{"InstanceType": M5}, {"InstanceType": G5}]
GROUPS = [{"InstanceGroupName": "g", "InstanceType": M5, "InstanceCount": 1}]
CONFIGS = [{"InstanceType": M5, "InstanceCount": 1, "VolumeSizeInGB": 10}]


def resources(**fields: Any) -> dict[str, Any]:
    return {"ResourceConfig": fields}


def tuning_resources(**fields: Any) -> dict[str, Any]:
    return {"HyperParameterTuningResourceConfig": fields}


@pytest.mark.parametrize(
    ("training", "field"),
    [
        (resources(InstancePreferences=ONE_EACH, InstanceType=M5), "InstanceType"),
        (resources(InstancePreferences=ONE_EACH, InstanceGroups=GROUPS), "InstanceGroups"),
        (resources(InstancePreferences=ONE_EACH, InstancePlacementConfig={}),
         "InstancePlacementConfig"),
        (resources(InstancePreferences=ONE_EACH, InstanceCount=1), "InstancePreferences"),
        (resources(InstancePreferences=UNCOUNTED), "InstancePreferences"),
        (resources(InstancePreferences=[ONE_EACH[0], UNCOUNTED[1]]), "InstancePreferences"),
        (resources(InstancePreferences=[ONE_EACH[0], UNCOUNTED[1]], InstanceCount=1),
         "InstancePreferences"),
        ({**resources(InstancePreferences=ONE_EACH), "EnableManagedSpotTraining": True},
         "InstancePreferences"),
        (tuning_resources(InstanceConfigs=CONFIGS, InstanceType=M5), "InstanceType"),
        (tuning_resources(InstanceConfigs=CONFIGS, InstanceCount=1), "InstanceCount"),
        (tuning_resources(InstanceConfigs=CONFIGS, VolumeSizeInGB=10), "VolumeSizeInGB"),
    ],
)  # fmt: skip
def test_instances_that_are_named_in_two_ways_are_refused(
    training: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_alternatives(training)
    assert caught.value.field.rpartition(".")[2] == field


@pytest.mark.parametrize(
    "training",
    [
        resources(InstanceType=M5, InstanceCount=1, VolumeSizeInGB=10),
        resources(InstanceGroups=GROUPS, VolumeSizeInGB=10),
        resources(InstancePreferences=ONE_EACH, VolumeSizeInGB=10),
        resources(InstancePreferences=UNCOUNTED, InstanceCount=2),
        tuning_resources(InstanceConfigs=CONFIGS, AllocationStrategy="Prioritized"),
        tuning_resources(InstanceType=M5, InstanceCount=1, VolumeSizeInGB=10),
    ],
)
def test_instances_that_are_named_in_one_way_are_taken(training: dict[str, Any]) -> None:
    check_alternatives(training)


def test_a_message_that_names_them_in_two_ways_is_refused_at_intake() -> None:
    asked = resources(InstancePreferences=UNCOUNTED, InstanceType=M5, InstanceCount=1)
    with pytest.raises(InvalidRequest, match="together with InstancePreferences"):
        job(**definition(**asked))
