"""The quotas of training jobs and instances."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.errors import CONTACT_SUPPORT, USE_SERVICE_QUOTAS, ApiError
from hpoq.local.sagemaker.settings import AccountQuotas
from hpoq.local.sagemaker.tuning.quota_check import (
    Demand,
    Usage,
    check_quotas,
    check_tuning_job_size,
)
from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    client_of,
    ended,
    training_job,
    tuning_job,
)


def test_running_instances_count_against_their_quota(start: Start, session: Session) -> None:
    sagemaker = client_of(start(instances={"ml.m5.large": 3}), session)
    busy = tuning_job("job-1", jobs=2, parallel=2, static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**busy)

    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-2", parallel=2))
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    message = caught.value.response["Error"]["Message"]
    assert "'ml.m5.large for training job usage' is 3 Instances" in message
    assert "utilization of 2 Instances and a request delta of 2 Instances" in message

    sagemaker.create_training_job(**training_job("alone", sleep="60"))
    with pytest.raises(ClientError, match="current utilization of 3 Instances"):
        sagemaker.create_training_job(**training_job("one-too-many"))

    sagemaker.stop_training_job(TrainingJobName="alone")
    assert ended(sagemaker, "alone")["TrainingJobStatus"] == "Stopped"
    sagemaker.create_training_job(**training_job("now-it-fits"))
    assert ended(sagemaker, "now-it-fits")["TrainingJobStatus"] == "Completed"


def test_training_jobs_and_all_instances_have_quotas_too(start: Start, session: Session) -> None:
    sagemaker = client_of(start(training_jobs=3, all_instances=5), session)
    busy = tuning_job("job-1", jobs=2, parallel=2, static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**busy)
    big = training_job("big", sleep="60")
    big["ResourceConfig"]["InstanceCount"] = 4
    with pytest.raises(ClientError, match="'Number of instances across all training jobs' is 5"):
        sagemaker.create_training_job(**big)
    sagemaker.create_training_job(**training_job("fits", sleep="60"))
    with pytest.raises(ClientError, match="'Total number of training jobs' is 3") as caught:
        sagemaker.create_training_job(**training_job("one-too-many"))
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"


def test_exceeding_the_limit_of_tuning_jobs_returns_the_error_of_the_api(
    start: Any, session: Any, memory: MemoryPorts
) -> None:
    sagemaker = client_of(start(tuning_jobs=1), session)
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", static={"sleep": "60"}))
    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-2"))
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    memory.await_status("job-1", "Stopped", seconds=20)
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-2", jobs=1, parallel=1))


def spot(job: dict[str, Any]) -> dict[str, Any]:
    """Let a tuning job use spot instances."""
    definition = job["TrainingJobDefinition"]
    definition["EnableManagedSpotTraining"] = True
    definition["StoppingCondition"]["MaxWaitTimeInSeconds"] = 60
    definition["StaticHyperParameters"]["sleep"] = "60"
    return job


def test_spot_and_on_demand_instances_have_separate_quotas(start: Start, session: Session) -> None:
    quotas = {"instances": {"ml.m5.large": 0}, "all_instances": 1, "all_spot_instances": 4}
    sagemaker = client_of(start(spot_instances={"ml.m5.large": 3}, **quotas), session)
    sagemaker.create_hyper_parameter_tuning_job(**spot(tuning_job("spot-1", parallel=2)))

    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**spot(tuning_job("spot-2", parallel=2)))
    message = caught.value.response["Error"]["Message"]
    assert "'ml.m5.large for spot training job usage' is 3 Instances" in message
    assert "utilization of 2 Instances and a request delta of 2 Instances" in message
    with pytest.raises(ClientError, match="large for training job usage' is 0 Instances"):
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("on-demand", parallel=1))

    other = spot(tuning_job("other-type", parallel=3))
    other["TrainingJobDefinition"]["ResourceConfig"]["InstanceType"] = "ml.c5.xlarge"
    all_spot = "'Number of instances across all spot training jobs' is 4 Instances"
    with pytest.raises(ClientError, match=all_spot):
        sagemaker.create_hyper_parameter_tuning_job(**other)


def test_definitions_of_different_types_share_the_parallel_training_jobs(
    start: Start, session: Session
) -> None:
    sagemaker = client_of(start(all_instances=3), session)
    job = tuning_job("either", parallel=2)
    shared, config = job.pop("TrainingJobDefinition"), job["HyperParameterTuningJobConfig"]
    shared |= {
        "TuningObjective": config.pop("HyperParameterTuningJobObjective"),
        "HyperParameterRanges": config.pop("ParameterRanges"),
        "StaticHyperParameters": shared["StaticHyperParameters"] | {"sleep": "60"},
    }
    job["TrainingJobDefinitions"] = [
        shared
        | {
            "DefinitionName": name,
            "ResourceConfig": shared["ResourceConfig"] | {"InstanceType": instance_type},
        }
        for name, instance_type in (("small", "ml.m5.large"), ("large", "ml.c5.xlarge"))
    ]
    sagemaker.create_hyper_parameter_tuning_job(**job)

    with pytest.raises(ClientError, match="utilization of 2 Instances and a request delta of 2"):
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-2", parallel=2))


@pytest.mark.parametrize(
    ("size", "quota"),
    [
        ({"jobs": 20, "parallel": 11}, "Number of parallel training jobs .* is 10, .* delta of 11"),
        ({"jobs": 751}, "Random search. Number of training jobs .* is 750, .* delta of 751"),
    ],
)
def test_a_single_tuning_job_has_quotas(
    start: Start, session: Session, size: dict[str, int], quota: str
) -> None:
    sagemaker = client_of(start(parallel_training_jobs=10, random_training_jobs=750), session)
    with pytest.raises(ClientError, match=quota) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("big", **size))
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"


def test_training_jobs_of_parents_count_toward_the_quota_of_a_random_search(
    start: Start, session: Session, memory: MemoryPorts
) -> None:
    sagemaker = client_of(start(random_training_jobs=5), session)
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("parent", jobs=3))
    memory.await_status("parent", "Completed")
    warm = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
        "WarmStartType": "TransferLearning",
    }
    child = {"WarmStartConfig": warm}

    with pytest.raises(ClientError, match=r"is 5, with current utilization of 3.* delta of 3"):
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("large", jobs=3), **child)
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("small", jobs=2), **child)


def demand(instances: dict[str, int], jobs: int = 1, *, spot: bool = False) -> Demand:
    return Demand(
        training_jobs=jobs, instances=instances, all_instances=sum(instances.values()), spot=spot
    )


M5, C5 = "ml.m5.large", "ml.c5.xlarge"


@pytest.mark.parametrize(
    ("quotas", "used", "wanted", "refused"),
    [
        ({"instances": {M5: 5}}, demand({M5: 3}), demand({M5: 2}), None),
        ({"instances": {M5: 5}}, demand({M5: 3}), demand({M5: 3}), "is 5 .* of 3 .* delta of 3"),
        ({"instances": {M5: 5}}, demand({C5: 9}), demand({M5: 5}), None),
        ({"instances": {M5: 0}}, demand({}), demand({M5: 1}), "is 0 .* of 0 .* delta of 1"),
        ({"instances": {M5: 5}}, demand({M5: 5}), demand({M5: 5}, spot=True), None),
        ({"spot_instances": {M5: 5}}, demand({M5: 5}), demand({M5: 5}, spot=True), None),
        ({"spot_instances": {M5: 5}}, demand({M5: 1}, spot=True), demand({M5: 5}, spot=True),
         "for spot training job usage' is 5 .* of 1 .* delta of 5"),
        ({"all_instances": 5}, demand({M5: 3}), demand({C5: 2}), None),
        ({"all_instances": 5}, demand({M5: 3}), demand({C5: 3}), "across all training jobs' is 5"),
        ({"all_instances": 5}, demand({M5: 5}), demand({C5: 5}, spot=True), None),
        ({"all_spot_instances": 5}, demand({M5: 3}, spot=True), demand({C5: 2}, spot=True), None),
        ({"all_spot_instances": 5}, demand({M5: 3}, spot=True), demand({C5: 3}, spot=True),
         "across all spot training jobs' is 5"),
        ({"training_jobs": 5}, demand({M5: 3}, 3), demand({M5: 2}, 2), None),
        ({"training_jobs": 5}, demand({M5: 3}, 3), demand({M5: 3}, 3),
         "training jobs' is 5, .* of 3 .* delta of 3"),
        ({"training_jobs": 5}, demand({M5: 3}, 3), demand({M5: 3}, 3, spot=True), "is 5, .* of 3"),
        ({"instances_per_job": 4}, demand({}), demand({M5: 8}, 2), None),
        ({"instances_per_job": 3}, demand({}), demand({M5: 8}, 2), "is 3 .* of 0 .* delta of 4"),
        ({}, demand({M5: 10_000}, 1_000), demand({M5: 20}), None),  # no quota is known
    ],
)  # fmt: skip
def test_a_quota_is_used_up_to_its_value_and_not_beyond(
    quotas: dict[str, Any], used: Demand, wanted: Demand, refused: str | None
) -> None:
    usage = Usage()
    usage.add(used)
    if refused is None:
        check_quotas(AccountQuotas(**quotas), usage, wanted)
        return
    with pytest.raises(ApiError) as caught:
        check_quotas(AccountQuotas(**quotas), usage, wanted)
    assert caught.value.code == "ResourceLimitExceeded"
    assert re.search(refused, str(caught.value))


@pytest.mark.parametrize(
    ("limits", "changes", "inherited", "refused"),
    [
        ({"parallel_training_jobs": 10}, {"parallel": 10, "jobs": 20}, 0, None),
        ({"parallel_training_jobs": 10}, {"parallel": 11, "jobs": 20}, 0, "is 10, .* 0 .* of 11"),
        ({"random_training_jobs": 50}, {"jobs": 50}, 0, None),
        ({"random_training_jobs": 50}, {"jobs": 50}, 1, "is 50, .* of 1 .* delta of 50"),
        ({"random_training_jobs": 50}, {"jobs": 49}, 1, None),
        ({"random_training_jobs": 50}, {"jobs": 51, "Strategy": "Bayesian"}, 0, None),
    ],
)
def test_a_tuning_job_may_be_as_large_as_its_quotas(
    limits: dict[str, int], changes: dict[str, Any], inherited: int, refused: str | None
) -> None:
    record, quotas = tuning_job("job", **changes), AccountQuotas(**limits)
    if refused is None:
        check_tuning_job_size(quotas, record, inherited)
    else:
        with pytest.raises(ApiError, match=refused):
            check_tuning_job_size(quotas, record, inherited)


def test_usage_adds_up_tuning_jobs_and_training_jobs() -> None:
    spotted = training_job("t")
    spotted["EnableManagedSpotTraining"] = True
    spotted["ResourceConfig"]["InstanceCount"] = 3
    usage = Usage.of([tuning_job("a", parallel=2), tuning_job("b", parallel=4, jobs=9)], [spotted])
    assert usage == Usage(
        training_jobs=7, on_demand=Counter({M5: 6}), spot=Counter({M5: 3}), all_on_demand=6,
        all_spot=3,
    )  # fmt: skip


@pytest.mark.parametrize("spot", [False, True])
def test_what_jobs_of_one_purchase_option_use_adds_up_beside_the_other(spot: bool) -> None:
    usage = Usage()
    for wanted in (demand({M5: 2}, 1, spot=spot), demand({M5: 1, C5: 3}, 4, spot=spot)):
        usage.add(wanted)
    usage.add(demand({M5: 7}, 1, spot=not spot))
    mine, other = Counter({M5: 3, C5: 3}), Counter({M5: 7})
    assert usage.training_jobs == 6
    assert (usage.spot, usage.on_demand) == ((mine, other) if spot else (other, mine))
    assert (usage.all_spot, usage.all_on_demand) == ((6, 7) if spot else (7, 6))


@pytest.mark.parametrize(
    ("jobs", "instances", "of_one"),
    [(1, 4, None), (1, 5, 5), (2, 9, None), (2, 10, 5), (0, 4, None), (0, 5, 5)],
)
def test_a_training_job_has_no_more_instances_than_its_quota(
    jobs: int, instances: int, of_one: int | None
) -> None:
    quotas, wanted = AccountQuotas(instances_per_job=4), demand({M5: instances}, jobs)
    if of_one is None:
        check_quotas(quotas, Usage(), wanted)
        return
    with pytest.raises(ApiError, match=rf"is 4 Instances, .* delta of {of_one} Instances"):
        check_quotas(quotas, Usage(), wanted)


@pytest.mark.parametrize("field", ["instances", "all_instances"])
@pytest.mark.parametrize(("spot", "remedy"), [(True, USE_SERVICE_QUOTAS), (False, CONTACT_SUPPORT)])
def test_the_remedy_depends_on_the_purchase_option(field: str, spot: bool, remedy: str) -> None:
    """Messages of the API for spot and for on-demand instances."""
    limit: Any = {M5: 1} if field == "instances" else 1
    name = field if not spot else field.replace("instances", "spot_instances")
    with pytest.raises(ApiError) as caught:
        check_quotas(AccountQuotas(**{name: limit}), Usage(), demand({M5: 2}, spot=spot))
    assert str(caught.value).endswith(f"a request delta of 2 Instances. {remedy}")
