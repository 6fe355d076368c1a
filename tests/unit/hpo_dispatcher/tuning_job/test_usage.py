"""What a tuning job can use at most, from its API request."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.entry import HOUR
from hpo_dispatcher.tuning_job.usage import (
    instances_of,
    most_cost,
    most_instance_seconds,
    most_used,
)

M5, G5 = "ml.m5.xlarge", "ml.g5.xlarge"


def api_request(
    *definitions: dict[str, Any], jobs: int | None = 20, parallel: int = 5, **limits: int
) -> dict[str, Any]:
    limits |= {"MaxParallelTrainingJobs": parallel}
    if jobs is not None:
        limits["MaxNumberOfTrainingJobs"] = jobs
    config = {"ResourceLimits": limits}
    if len(definitions) == 1:
        return {"HyperParameterTuningJobConfig": config, "TrainingJobDefinition": definitions[0]}
    return {"HyperParameterTuningJobConfig": config, "TrainingJobDefinitions": list(definitions)}


def definition(seconds: int | None = HOUR, **resources: Any) -> dict[str, Any]:
    resources = resources or {"InstanceType": M5, "InstanceCount": 1}
    stop = {} if seconds is None else {"StoppingCondition": {"MaxRuntimeInSeconds": seconds}}
    return {"ResourceConfig": resources, **stop}


def test_every_training_job_may_run_on_all_its_instances_for_as_long_as_it_may() -> None:
    two = definition(InstanceType=M5, InstanceCount=2)
    assert most_used(api_request(two, jobs=20)) == [{M5: 20 * 2 * HOUR}]


def test_a_day_is_assumed_where_nothing_says_how_long() -> None:
    assert most_instance_seconds(api_request(definition(None), jobs=1, parallel=1)) == 24 * HOUR


def test_the_tuning_jobs_own_time_limit_bounds_all_of_them() -> None:
    within = api_request(definition(), jobs=20, parallel=5, MaxRuntimeInSeconds=HOUR)
    assert most_instance_seconds(within) == 5 * HOUR
    loose = api_request(definition(), jobs=3, parallel=3, MaxRuntimeInSeconds=9 * HOUR)
    assert most_instance_seconds(loose) == 3 * HOUR


def test_without_a_number_of_training_jobs_as_many_as_sagemaker_allows_count() -> None:
    assert most_instance_seconds(api_request(definition(), jobs=None)) == 750 * HOUR


def test_instances_kept_warm_count() -> None:
    warm = definition(InstanceType=M5, InstanceCount=1, KeepAlivePeriodInSeconds=HOUR)
    assert most_instance_seconds(api_request(warm, jobs=2, parallel=1)) == 4 * HOUR


def test_groups_of_a_cluster_run_at_the_same_time() -> None:
    groups = [
        {"InstanceType": M5, "InstanceCount": 2, "InstanceGroupName": "a"},
        {"InstanceType": M5, "InstanceCount": 1, "InstanceGroupName": "b"},
        {"InstanceType": G5, "InstanceCount": 1, "InstanceGroupName": "c"},
    ]
    both = api_request(definition(InstanceGroups=groups), jobs=1, parallel=1)
    assert most_used(both) == [{M5: 3 * HOUR, G5: HOUR}]
    assert most_instance_seconds(both) == 4 * HOUR


def test_one_count_beside_preferences_is_that_of_each() -> None:
    types = [{"InstanceType": M5}, {"InstanceType": G5}]
    either = api_request(definition(InstancePreferences=types, InstanceCount=2), jobs=1, parallel=1)
    assert most_used(either) == [{M5: 2 * HOUR}, {G5: 2 * HOUR}]


def test_of_several_definitions_or_types_the_dearest_may_get_all_training_jobs() -> None:
    cpu = definition(InstanceType=M5, InstanceCount=3)
    gpu = definition(InstanceType=G5, InstanceCount=1)
    uses = most_used(api_request(cpu, gpu, jobs=10))
    assert uses == [{M5: 30 * HOUR}, {G5: 10 * HOUR}]
    assert most_cost(uses, {M5: 1.0, G5: 5.0}) == 50.0
    choice = {
        "HyperParameterTuningResourceConfig": {
            "InstanceConfigs": [
                {"InstanceType": M5, "InstanceCount": 1, "VolumeSizeInGB": 1},
                {"InstanceType": G5, "InstanceCount": 2, "VolumeSizeInGB": 1},
            ]
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": HOUR},
    }
    assert most_used(api_request(choice, jobs=2, parallel=1)) == [{M5: 2 * HOUR}, {G5: 4 * HOUR}]


@pytest.mark.parametrize("prices", [{}, {G5: 1.0}])
def test_no_price_is_made_up(prices: dict[str, float]) -> None:
    assert most_cost(most_used(api_request(definition())), prices) is None
    assert most_cost([], prices) is None


def test_without_a_count_a_training_job_has_one_instance() -> None:
    api_request = {
        "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxParallelTrainingJobs": 3}},
        "TrainingJobDefinition": {"ResourceConfig": {"InstanceType": "ml.m5.large"}},
    }
    assert instances_of(api_request) == {"ml.m5.large": 3}
