"""Describe returns what Create was given, and what SDKs read besides.

Sources: API_DescribeHyperParameterTuningJob.html and API_DescribeTrainingJob.html of the API
reference; ``HyperparameterTuner.attach`` and ``Estimator.attach`` of the SageMaker SDK 2, which
read these fields (sagemaker-python-sdk, src/sagemaker/tuner.py and estimator.py).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.conformance_requests import (
    NAME,
    TRAINING,
    TUNING,
    at,
    base_of,
    changed,
    leaves,
)
from tests.support.conformance_service import ON_AWS, Answer, Service

DESCRIBE = {TUNING: "DescribeHyperParameterTuningJob", TRAINING: "DescribeTrainingJob"}
STOP = {TUNING: "StopHyperParameterTuningJob", TRAINING: "StopTrainingJob"}
# Replaced by the bucket, the role and the image of the account.
PLACES = ("S3Uri", "S3OutputPath", "RoleArn", "sagemaker_submit_directory",
          *(("TrainingImage",) if ON_AWS else ()))  # fmt: skip
GIVEN = [
    (operation, path, value)
    for operation in (TUNING, TRAINING)
    for path, value in leaves(base_of(operation))
    if not path.endswith(PLACES)
]
OWN = pytest.mark.skipif(ON_AWS, reason="the account has no such resource")
# Fields that AWS adds: API reference, "Response Elements".
ADDED = {
    TUNING: (
        "HyperParameterTuningJobArn", "HyperParameterTuningJobStatus", "CreationTime",
        "LastModifiedTime", "TrainingJobStatusCounters.Completed",
        "TrainingJobStatusCounters.InProgress", "TrainingJobStatusCounters.RetryableError",
        "TrainingJobStatusCounters.NonRetryableError", "TrainingJobStatusCounters.Stopped",
        "ObjectiveStatusCounters.Succeeded", "ObjectiveStatusCounters.Pending",
        "ObjectiveStatusCounters.Failed",
        "TrainingJobDefinition.StaticHyperParameters._tuning_objective_metric",
        "TrainingJobDefinition.OutputDataConfig.KmsKeyId",
    ),
    TRAINING: (
        "TrainingJobArn", "TrainingJobStatus", "SecondaryStatus", "CreationTime",
        "LastModifiedTime", "SecondaryStatusTransitions.0.Status",
        "SecondaryStatusTransitions.0.StartTime", "ModelArtifacts.S3ModelArtifacts",
        "OutputDataConfig.KmsKeyId",
    ),
}  # fmt: skip


def described(service: Service, operation: str, request: dict[str, Any]) -> Answer:
    name = {NAME[operation]: request[NAME[operation]]}
    created = service.call(operation, request)
    assert not created.code, created
    answer = service.call(DESCRIBE[operation], name)
    service.call(STOP[operation], name)
    assert not answer.code, answer
    return answer


@pytest.fixture(scope="module")
def found(service: Service) -> dict[str, dict[str, Any]]:
    return {
        operation: described(service, operation, base_of(operation)).body
        for operation in (TUNING, TRAINING)
    }


# The ids have no values: names of jobs differ between runs, and so between test processes.
@pytest.mark.parametrize(
    ("operation", "path", "value"), GIVEN, ids=[f"{each[0]}-{each[1]}" for each in GIVEN]
)
def test_describe_returns_what_create_was_given(
    found: dict[str, dict[str, Any]], operation: str, path: str, value: Any
) -> None:
    seen = at(found[operation], path)
    assert seen == value or (path in NAME.values() and seen.startswith("conformance-"))


@pytest.mark.parametrize(
    ("operation", "path"),
    [(operation, path) for operation, paths in ADDED.items() for path in paths],
)
def test_describe_adds_the_fields_that_sdks_read(
    found: dict[str, dict[str, Any]], operation: str, path: str
) -> None:
    assert at(found[operation], path) is not None


@pytest.mark.parametrize("operation", [TUNING, TRAINING])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("RetryStrategy.MaximumRetryAttempts", 3),
        ("EnableNetworkIsolation", True),
        ("EnableInterContainerTrafficEncryption", True),
        ("OutputDataConfig.CompressionType", "NONE"),
        pytest.param("OutputDataConfig.KmsKeyId", "alias/key", marks=OWN),
        ("AlgorithmSpecification.TrainingInputMode", "FastFile"),
        ("ResourceConfig.KeepAlivePeriodInSeconds", 60),
        pytest.param(
            "VpcConfig", {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}, marks=OWN
        ),
        ("InputDataConfig.0.ShuffleConfig.Seed", 5),
        ("InputDataConfig.0.RecordWrapperType", "RecordIO"),
        ("InputDataConfig.0.CompressionType", "Gzip"),
        ("Environment.MORE", "x=y z"),
    ],
)
def test_describe_returns_another_value_of_a_field(
    service: Service, operation: str, path: str, value: Any
) -> None:
    where = f"TrainingJobDefinition.{path}" if operation == TUNING else path
    request = changed(base_of(operation), where, value)
    assert at(described(service, operation, request).body, where) == value


def test_a_definition_with_preferences_has_a_resource_config(service: Service) -> None:
    """SDK 2's attach reads ResourceConfig of each definition."""
    preferred = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 2}
    request = changed(base_of(TUNING), "TrainingJobDefinition.ResourceConfig", None)
    place = "TrainingJobDefinition.HyperParameterTuningResourceConfig"
    body = described(service, TUNING, changed(request, place, preferred)).body
    seen = at(body, "TrainingJobDefinition.ResourceConfig")
    assert seen == preferred


def test_several_definitions_are_described_by_their_names(service: Service) -> None:
    """SDK 2's attach of a tuner for several estimators reads TrainingJobDefinitions."""
    request = base_of(TUNING)
    config = request["HyperParameterTuningJobConfig"]
    one = {
        **request.pop("TrainingJobDefinition"),
        "TuningObjective": config.pop("HyperParameterTuningJobObjective"),
        "HyperParameterRanges": config.pop("ParameterRanges"),
    }
    request["TrainingJobDefinitions"] = [{**one, "DefinitionName": name} for name in ("a", "b")]
    body = described(service, TUNING, request).body
    assert [each["DefinitionName"] for each in body["TrainingJobDefinitions"]] == ["a", "b"]
    assert "TrainingJobDefinition" not in body
    for each in body["TrainingJobDefinitions"]:
        assert each["TuningObjective"] == one["TuningObjective"]
        assert each["StaticHyperParameters"]["_tuning_objective_metric"] == "auc"
