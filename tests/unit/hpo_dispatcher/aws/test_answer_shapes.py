"""moto answers in the shapes of AWS, for every operation that hpoq calls.

The same calls in the embedded cloud: tests/cloud/test_answer_shapes.py.
"""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest

from tests.support.answer_scene import scene_in_moto
from tests.support.answer_shapes import (
    answers_of,
    members_of,
    members_read,
    mismatches,
    operations_called,
)
from tests.support.dispatcher_account import Account, account, session

__all__ = ["account", "session"]

# Operations without an answer of moto, each with the reason.
NOT_IN_MOTO = {
    "cloudformation:DescribeStacks": "needs a package that is not installed",
    "cloudformation:ListStackResources": "needs a package that is not installed",
    "iam:SimulatePrincipalPolicy": "not implemented",
    "sagemaker:DescribeTrainingJob": "its tuning jobs have no training jobs",
    "sagemaker:ListTrainingJobsForHyperParameterTuningJob": "not implemented",
    "sagemaker:Search": "not implemented for tuning jobs",
    "sagemaker:SendPipelineExecutionStepFailure": "not implemented",
    "sagemaker:SendPipelineExecutionStepSuccess": "not implemented",
    "sagemaker:StopHyperParameterTuningJob": "not implemented",
    "service-quotas:ListServiceQuotas": "has no quotas of SageMaker",
}
# Keys in SageMaker's spelling that are no members of an operation.
OTHER_KEYS = {
    "COLUMNS": "an environment variable",
    "EDITOR": "an environment variable",
    "CancellationReasons": "a member of the error TransactionCanceledException",
    "Effect": "of a policy document",
    "HTTPHeaders": "of botocore",
    "HTTPStatusCode": "of botocore",
    "Principal": "of a policy document",
    "ResponseMetadata": "of botocore",
    "SentTimestamp": "an attribute of a message",
    "Service": "of a policy document",
    "Statement": "of a policy document",
    "TuningRequest": "of our JSON Schema",
}


def test_motos_answers_have_the_shapes_of_aws(account: Account) -> None:
    scene = scene_in_moto(account)
    with answers_of(account.session) as answers:
        errors = scene.play()
    assert errors.keys() == NOT_IN_MOTO.keys()
    assert operations_called().keys() - answers.operations == NOT_IN_MOTO.keys()
    assert answers.problems == []


def test_every_member_that_is_read_is_a_member_of_an_operation_that_is_called() -> None:
    known = members_of(operations_called().values())
    unknown = {name: files for name, files in members_read().items() if name not in known}
    assert unknown.keys() - OTHER_KEYS.keys() == set()
    assert OTHER_KEYS.keys() - unknown.keys() == set()


TUNING_JOB = {
    "HyperParameterTuningJobName": "a",
    "HyperParameterTuningJobArn": "arn",
    "HyperParameterTuningJobConfig": {
        "Strategy": "Random",
        "ResourceLimits": {"MaxParallelTrainingJobs": 1},
    },
    "HyperParameterTuningJobStatus": "Completed",
    "CreationTime": 1.5,
    "TrainingJobStatusCounters": {"Completed": 1},
    "ObjectiveStatusCounters": {},
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"Name": "a"}, ".Name: AWS has no such member"),
        ({"HyperParameterTuningJobArn": None}, ".HyperParameterTuningJobArn: AWS always has"),
        ({"HyperParameterTuningJobStatus": "Done"}, ".*AWS never answers 'Done'"),
        ({"CreationTime": True}, ".CreationTime: bool instead of int"),
        ({"TrainingJobStatusCounters": []}, ".TrainingJobStatusCounters: list instead of dict"),
        ({"TrainingJobStatusCounters": {"Completed": "1"}}, ".*Completed: str instead of int"),
        ({"TrainingJobDefinitions": [1]}, r".TrainingJobDefinitions\[0\]: int instead of dict"),
        ({"OverallBestTrainingJob": {}}, ".OverallBestTrainingJob.TrainingJobName: AWS always"),
    ],
)
def test_an_answer_of_another_shape_is_found(change: dict[str, Any], problem: str) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model("DescribeHyperParameterTuningJob").output_shape
    assert shape is not None
    assert list(mismatches(shape, TUNING_JOB)) == []
    found = list(mismatches(shape, TUNING_JOB | change))
    assert any(re.match(problem, each) for each in found), found


def test_the_operations_are_found_in_the_sources() -> None:
    found = operations_called()
    assert {"sqs:ReceiveMessage", "sagemaker:Search", "logs:GetLogEvents"} <= found.keys()
    assert len(found) >= 40
