"""Requests that SageMaker rejects."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.rules import check_combinations
from tests.support.memory_endpoint import training_job, tuning_job

GRID_OF_784 = {"CategoricalParameterRanges": [
    {"Name": name, "Values": [str(each) for each in range(28)]} for name in "ab"
]}  # fmt: skip
LR = {"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}


def refusal(sagemaker: Any, request: dict[str, Any]) -> str:
    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**request)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"jobs": 2, "parallel": 3}, "MaxParallelTrainingJobs 3 is greater"),
        ({"jobs": 200, "parallel": 101}, "more than 100"),
        ({"jobs": 751, "Strategy": "Bayesian"}, "more than 750 for Bayesian"),
        ({"jobs": 10_001}, "more than 10000 for Random"),
        ({"Strategy": "Grid"}, "only those"),
        ({"Strategy": "Grid", "ranges": {"AutoParameters": [{"Name": "n", "ValueHint": "text"}]}},
         "only those"),
        ({"Strategy": "Grid", "ranges": GRID_OF_784}, "more than 750"),
        ({"static": {"lr": "0.5"}}, "lr is both static and searched"),
        ({"ranges": {"ContinuousParameterRanges": [LR, LR]}}, "lr has 2 ranges"),
        (
            {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"}},
            r"\[f1\], isn't valid for the training algorithm. Choose one of: auc",
        ),
        (
            {"ranges": {"IntegerParameterRanges": [
                {**LR, "Name": "n", "MinValue": "1", "ScalingType": "ReverseLogarithmic"}
            ]}},
            "reverse logarithmic",
        ),
    ],
)  # fmt: skip
def test_a_tuning_job_beyond_the_limits_of_sagemaker_is_rejected(
    sagemaker: Any, changes: dict[str, Any], problem: str
) -> None:
    assert re.search(problem, refusal(sagemaker, tuning_job("job-1", **changes)))
    assert sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"] == []


def test_spot_training_requires_a_sufficient_wait_time(sagemaker: Any) -> None:
    job = tuning_job("job-1")
    job["TrainingJobDefinition"]["EnableManagedSpotTraining"] = True
    assert "MaxWaitTimeInSeconds" in refusal(sagemaker, job)
    job["TrainingJobDefinition"]["StoppingCondition"]["MaxWaitTimeInSeconds"] = 59
    assert "59 is less than MaxRuntimeInSeconds 60" in refusal(sagemaker, job)


def test_a_wait_time_requires_spot_training(sagemaker: Any) -> None:
    job = tuning_job("job-1")
    job["TrainingJobDefinition"]["StoppingCondition"]["MaxWaitTimeInSeconds"] = 60
    assert refusal(sagemaker, job).startswith("Invalid MaxWaitTimeInSeconds. It is only supported")


INTEGERS = {"IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "2"}]}
CATEGORIES = {"CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}]}


@pytest.mark.parametrize(
    ("ranges", "points"),
    [
        (INTEGERS, 2),
        (CATEGORIES, 2),
        (INTEGERS | CATEGORIES, 4),
        ({"ContinuousParameterRanges": [{**LR, "MinValue": "1", "MaxValue": "1"}]}, 1),
        ({"ContinuousParameterRanges": [LR]} | INTEGERS, math.inf),
    ],
)
def test_a_tuning_job_needs_a_point_of_its_ranges_for_each_training_job(
    ranges: dict[str, Any], points: float
) -> None:
    enough = int(min(points, 100))
    check_combinations(tuning_job("job-1", ranges=ranges, jobs=enough))
    if points <= enough:
        with pytest.raises(ApiError, match=rf"provided ranges \[{points:.1f}\] must be"):
            check_combinations(tuning_job("job-1", ranges=ranges, jobs=enough + 1))


@pytest.mark.parametrize(
    ("instance_type", "local_storage"),
    [
        ("ml.m5.xlarge", False),
        ("ml.c6i.xlarge", False),
        ("ml.g4dn.xlarge", True),
        ("ml.g5.xlarge", True),
        ("ml.g6e.xlarge", True),
        ("ml.r5d.large", True),
        ("ml.p3.2xlarge", False),
        ("ml.p3dn.24xlarge", True),
        ("ml.p4d.24xlarge", True),
        ("ml.p5.48xlarge", True),
        ("ml.p6-b200.48xlarge", True),
        ("ml.trn1.2xlarge", True),
    ],
)
def test_a_volume_of_local_storage_takes_no_key(
    sagemaker: Any, instance_type: str, *, local_storage: bool
) -> None:
    job = training_job("alone")
    job["ResourceConfig"] |= {"InstanceType": instance_type, "VolumeKmsKeyId": "key"}
    if local_storage:
        with pytest.raises(
            ClientError, match=f"VolumeKmsKeyId is not supported for {instance_type}"
        ):
            sagemaker.create_training_job(**job)
    else:
        sagemaker.create_training_job(**job)


def several() -> dict[str, Any]:
    """Return a tuning job with two definitions that search different ranges of lr."""
    job = tuning_job("job-1", jobs=6, parallel=2)
    definition = job.pop("TrainingJobDefinition")
    config = job["HyperParameterTuningJobConfig"]
    ranges = config.pop("ParameterRanges")
    objective = config.pop("HyperParameterTuningJobObjective")
    one = {**definition, "DefinitionName": "one", "TuningObjective": objective}
    one["HyperParameterRanges"] = ranges
    two = copy.deepcopy(one) | {"DefinitionName": "two"}
    two["HyperParameterRanges"] = {"ContinuousParameterRanges": [{**LR, "MaxValue": "0.02"}]}
    return job | {"TrainingJobDefinitions": [one, two]}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda job: job["TrainingJobDefinitions"][1].pop("DefinitionName"), "needs a Definition"),
        (lambda job: job["TrainingJobDefinitions"][1].update(DefinitionName="one"), "used 2 times"),
        (lambda job: job["TrainingJobDefinitions"][1].pop("TuningObjective"), "TuningObjective"),
        (lambda job: job.pop("TrainingJobDefinitions"), "Exactly one of"),
        (lambda job: job.update(TrainingJobDefinition=job["TrainingJobDefinitions"][0]), "Exactly"),
    ],
)
def test_several_definitions_need_distinct_names_and_their_own_fields(
    sagemaker: Any, change: Any, problem: str
) -> None:
    job = several()
    change(job)
    assert problem in refusal(sagemaker, job)


@pytest.mark.parametrize(
    "change",
    [
        {"ranges": {"ContinuousParameterRanges": [
            {"Name": "lr", "MinValue": "2", "MaxValue": "1"}]}},
        {"ranges": {"ContinuousParameterRanges": [
            {"Name": "lr", "MinValue": "0", "MaxValue": "1", "ScalingType": "Logarithmic"}]}},
        {"Strategy": "Guess"},
    ],
)  # fmt: skip
def test_a_request_that_sagemaker_would_reject_is_rejected(
    sagemaker: Any, change: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", **change))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
