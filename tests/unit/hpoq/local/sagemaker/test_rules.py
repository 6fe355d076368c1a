"""Requests that SageMaker rejects."""

from __future__ import annotations

import contextlib
import copy
import math
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.rules import (
    check_combinations,
    check_definitions,
    check_training_job,
    check_tuning_job,
    combinations,
)
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


def numbers(count: int) -> dict[str, Any]:
    return {
        "ContinuousParameterRanges": [
            {"Name": f"p{n}", "MinValue": "0", "MaxValue": "1"} for n in range(count)
        ]
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"jobs": 3, "parallel": 3},
        {"jobs": 200, "parallel": 100},
        {"jobs": 750, "Strategy": "Bayesian"},
        {"jobs": 10_000},
        {"Strategy": "Hyperband",
         "StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 1}}},
        {"ranges": numbers(30)},
        {"Strategy": "Grid", "ranges": GRID_OF_784},
        {"Strategy": "Grid", "ranges": {"CategoricalParameterRanges": [
            {"Name": "only", "Values": ["a", "b"]}
        ]}},
    ],
)  # fmt: skip
def test_a_tuning_job_at_the_limits_of_sagemaker_is_taken(changes: dict[str, Any]) -> None:
    check_tuning_job(tuning_job("job-1", **changes))


def in_definition(**fields: Any) -> dict[str, Any]:
    job = tuning_job("job-1")
    job["TrainingJobDefinition"] |= fields
    return job


def in_algorithm(**fields: Any) -> dict[str, Any]:
    job = tuning_job("job-1")
    job["TrainingJobDefinition"]["AlgorithmSpecification"] |= fields
    return job


# API_HyperParameterTrainingJobDefinition.html: "the sum of the number of environment variables for
# all the training job definitions can't exceed the maximum number specified", which is 48.
@pytest.mark.parametrize(("count", "is_refused"), [(24, False), (25, True)])
def test_the_environment_variables_of_all_definitions_are_counted(
    count: int, is_refused: bool
) -> None:
    request = several()
    for each in request["TrainingJobDefinitions"]:
        each["Environment"] = {f"V{number}": "" for number in range(count)}
    refusal = "50 environment variables together"
    with pytest.raises(ApiError, match=refusal) if is_refused else contextlib.nullcontext():
        check_tuning_job(request)


def channel(name: str, **source: Any) -> dict[str, Any]:
    return {"ChannelName": name, "DataSource": {"S3DataSource": {}, **source}}


SPOT = {"EnableManagedSpotTraining": True}
MONTH = 28 * 86_400


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (tuning_job("job-1", StrategyConfig={}), "only valid for the Hyperband"),
        (tuning_job("job-1", ranges=numbers(31)), "31 hyperparameters are searched"),
        (tuning_job("job-1") | {"WarmStartConfig": {"ParentHyperParameterTuningJobs": [{}]}},
         "needs a HyperParameterTuningJobName"),
        (tuning_job("job-1") | {"Tags": [{"Key": "AWS:x", "Value": ""}]}, "begins with aws:"),
        (tuning_job("job-1") | {"Tags": [{"Key": "a", "Value": ""}] * 2}, "a is used 2 times"),
        (in_definition(InputDataConfig=[channel("a"), channel("a")]), "name a is used 2 times"),
        (in_definition(InputDataConfig=[channel("..")]), r"channel name \.\. is not valid"),
        (in_definition(InputDataConfig=[channel("a", FileSystemDataSource={})]),
         "a needs exactly one source"),
        (in_definition(InputDataConfig=[{"ChannelName": "a", "DataSource": {}}]), "exactly one"),
        (in_definition(CheckpointConfig={"LocalPath": "/opt/../etc"}), "LocalPath .* not valid"),
        (in_definition(ResourceConfig={"InstanceCount": 1}), "needs an InstanceType or"),
        (in_definition(ResourceConfig={"InstanceType": "ml.m5.large", "InstanceGroups": [{}]}),
         "neither InstanceType nor InstanceCount"),
        (in_definition(ResourceConfig={"InstanceCount": 1, "InstanceGroups": [{}]}),
         "neither InstanceType nor InstanceCount"),
        (in_definition(StoppingCondition={"MaxRuntimeInSeconds": MONTH + 1}), "28 days"),
        (in_definition(**SPOT, StoppingCondition={"MaxWaitTimeInSeconds": 86_399}),
         "86399 is less than MaxRuntimeInSeconds 86400"),
        (in_algorithm(TrainingImage=""), "exactly one of TrainingImage and AlgorithmName"),
        (in_algorithm(AlgorithmName="a"), "exactly one of TrainingImage and AlgorithmName"),
        (in_algorithm(MetricDefinitions=[]), "A metric is required"),
        (in_algorithm(MetricDefinitions=[{"Name": "auc", "Regex": "("}]), r"expression \[\(\]"),
    ],
)  # fmt: skip
def test_one_step_beyond_a_rule_is_refused_with_its_reason(
    request_: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ApiError) as caught:
        check_tuning_job(request_)
    assert re.search(problem, str(caught.value))


@pytest.mark.parametrize(
    "request_",
    [
        in_definition(InputDataConfig=[channel("a"), channel("b"), channel(".a")]),
        in_definition(CheckpointConfig={"LocalPath": "/opt/ml/check..points"}),
        in_definition(ResourceConfig={"InstanceGroups": [{"InstanceType": "ml.m5.large"}]}),
        in_definition(StoppingCondition={"MaxRuntimeInSeconds": MONTH}),
        in_definition(**SPOT, StoppingCondition={"MaxWaitTimeInSeconds": 86_400}),
        in_definition(
            **SPOT, StoppingCondition={"MaxWaitTimeInSeconds": 60, "MaxRuntimeInSeconds": 60}
        ),
        in_algorithm(TrainingImage="", AlgorithmName="a"),
        tuning_job("job-1") | {"Tags": [{"Key": "my-aws:x", "Value": ""}]},
    ],
)
def test_what_is_just_within_a_rule_is_taken(request_: dict[str, Any]) -> None:
    check_tuning_job(request_)


@pytest.mark.parametrize("field", ["StoppingCondition", "InputDataConfig", "StaticHyperParameters"])
def test_a_tuning_job_needs_no_field_that_the_api_makes_optional(field: str) -> None:
    job = tuning_job("job-1")
    del job["TrainingJobDefinition"][field]
    check_tuning_job(job)


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({"TrainingJobDefinition": {}}, True),
        ({"TrainingJobDefinitions": [{}]}, True),
        ({}, False),
        ({"TrainingJobDefinitions": []}, False),
        ({"TrainingJobDefinition": {}, "TrainingJobDefinitions": [{}]}, False),
    ],
)
def test_definitions_are_in_exactly_one_of_two_fields(fields: dict[str, Any], taken: bool) -> None:
    if taken:
        check_definitions(fields)
    else:
        with pytest.raises(ApiError, match="Exactly one of"):
            check_definitions(fields)


@pytest.mark.parametrize("field", ["AlgorithmSpecification", "ResourceConfig", "StoppingCondition"])
def test_a_training_job_needs_fields_that_the_api_makes_optional(field: str) -> None:
    check_training_job(training_job("job-1"))
    with pytest.raises(ApiError, match=f"{field} is required"):
        check_training_job({k: v for k, v in training_job("job-1").items() if k != field})


@pytest.mark.parametrize(
    ("ranges", "points"),
    [
        ({"IntegerParameterRanges": [{"Name": "n", "MinValue": "-2", "MaxValue": "2"}]}, 5),
        ({"IntegerParameterRanges": [{"Name": "n", "MinValue": "3", "MaxValue": "3"}]}, 1),
        ({"CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b", "a"]}]}, 2),
        (INTEGERS | GRID_OF_784, 2 * 784),
        ({}, 1),
    ],
)
def test_the_points_of_a_search_space(ranges: dict[str, Any], points: int) -> None:
    assert combinations(ranges) == points


@pytest.mark.parametrize(("values", "taken"), [(750, True), (751, False)])
def test_a_grid_has_no_more_points_than_a_tuning_job_may_try(values: int, taken: bool) -> None:
    each = [{"Name": "c", "Values": [str(n) for n in range(values)]}]
    grid = tuning_job("g", Strategy="Grid", ranges={"CategoricalParameterRanges": each}, jobs=10)
    if taken:
        check_combinations(grid)
    else:
        with pytest.raises(ApiError, match="751 combinations, which is more than 750"):
            check_combinations(grid)
