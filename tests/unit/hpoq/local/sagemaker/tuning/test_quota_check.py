"""The quotas of training jobs and instances."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.errors import ApiError
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
    limits: dict[str, Any], changes: dict[str, Any], inherited: int, refused: str | None
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


QUOTAS = "use AWS Service Quotas to request"
SUPPORT = "contact AWS support to request an increase for this limit"
ON_DEMAND, SPOT = demand({M5: 2}), demand({M5: 2}, spot=True)


@pytest.mark.parametrize(
    ("quotas", "wanted", "limit", "remedy"),
    [
        ({"instances": {M5: 1}}, ON_DEMAND, "ml.m5.large for training job usage", SUPPORT),
        ({"all_instances": 1}, ON_DEMAND, "Number of instances across all training jobs", SUPPORT),
        ({"spot_instances": {M5: 1}}, SPOT, "ml.m5.large for spot training job usage", QUOTAS),
        ({"all_spot_instances": 1}, SPOT, "Number of instances across all spot training jobs",
         QUOTAS),
        ({"instances_per_job": 1}, ON_DEMAND, "Maximum number of instances per training job",
         QUOTAS),
    ],
)  # fmt: skip
def test_a_refusal_names_its_quota_in_instances_and_where_to_raise_it(
    quotas: dict[str, Any], wanted: Demand, limit: str, remedy: str
) -> None:
    with pytest.raises(ApiError) as caught:
        check_quotas(AccountQuotas(**quotas), Usage(), wanted)
    message = str(caught.value)
    assert message.startswith(f"The account-level service limit '{limit}' is 1 Instances, with ")
    assert "of 0 Instances and a request delta of 2 Instances." in message
    assert remedy in message


def test_a_training_job_alone_may_have_as_many_instances_as_one_of_several() -> None:
    quotas = AccountQuotas(instances_per_job=4)
    for jobs in (1, 2, 3):
        check_quotas(quotas, Usage(), demand({M5: 4 * jobs}, jobs))
        with pytest.raises(ApiError, match=r"is 4 Instances, .* delta of 5 Instances"):
            check_quotas(quotas, Usage(), demand({M5: 5 * jobs}, jobs))
    check_quotas(quotas, Usage(), demand({M5: 4}, 0))


def test_one_training_job_more_than_the_quota_is_counted_in_jobs() -> None:
    usage = Usage(training_jobs=5)
    with pytest.raises(ApiError) as caught:
        check_quotas(AccountQuotas(training_jobs=5), usage, demand({}))
    assert "is 5, with current utilization of 5 and a request delta of 1." in str(caught.value)


@pytest.mark.parametrize("spot", [False, True])
def test_every_job_adds_to_the_usage_of_its_kind(*, spot: bool) -> None:
    usage = Usage()
    for _ in range(3):
        usage.add(demand({M5: 2, C5: 1}, 4, spot=spot))
    used, none = Counter({M5: 6, C5: 3}), Counter[str]()
    assert usage == Usage(
        training_jobs=12,
        on_demand=none if spot else used,
        spot=used if spot else none,
        all_on_demand=0 if spot else 9,
        all_spot=9 if spot else 0,
    )


def test_every_type_of_a_job_has_its_quota() -> None:
    quotas = AccountQuotas(instances={C5: 2})
    check_quotas(quotas, Usage(), demand({M5: 9, C5: 2}))
    with pytest.raises(ApiError, match=r"ml\.c5\.xlarge for training job usage' is 2 "):
        check_quotas(quotas, Usage(), demand({M5: 9, C5: 3}))


def test_the_demand_of_definitions_is_the_most_of_each_type_and_of_all() -> None:
    job = tuning_job("job", parallel=3, jobs=9)
    definition = job.pop("TrainingJobDefinition")
    resources = [{"InstanceType": M5, "InstanceCount": 2}, {"InstanceType": C5, "InstanceCount": 4}]
    job["TrainingJobDefinitions"] = [definition | {"ResourceConfig": each} for each in resources]
    assert Demand.of_tuning_job(job) == Demand(
        training_jobs=3, instances={M5: 6, C5: 12}, all_instances=12, spot=False
    )
    job["TrainingJobDefinitions"][1]["EnableManagedSpotTraining"] = True
    assert Demand.of_tuning_job(job).spot


def test_the_demand_of_a_training_job_is_that_of_all_its_instances() -> None:
    groups = [
        {"InstanceType": M5, "InstanceCount": 2, "InstanceGroupName": "a"},
        {"InstanceType": C5, "InstanceCount": 1, "InstanceGroupName": "b"},
        {"InstanceType": M5, "InstanceCount": 1, "InstanceGroupName": "c"},
    ]
    job = training_job("t") | {"ResourceConfig": {"InstanceGroups": groups}}
    assert Demand.of_training_job(job) == Demand(
        training_jobs=1, instances={M5: 3, C5: 1}, all_instances=4, spot=False
    )


def test_a_tuning_job_without_a_number_of_training_jobs_has_no_quota_of_them() -> None:
    record = tuning_job("job")
    del record["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    check_tuning_job_size(AccountQuotas(random_training_jobs=1), record, 9)
