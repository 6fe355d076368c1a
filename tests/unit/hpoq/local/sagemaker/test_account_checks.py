"""The role and the inputs of a new job, which SageMaker checks at once."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.account_checks import AccountChecks
from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.ports import Access
from tests.support.memory_endpoint import MemoryPorts, training_job, tuning_job

ROLE = "arn:aws:iam::123456789012:role/training"


def refusal(sagemaker: Any, job: dict[str, Any]) -> str:
    with pytest.raises(ClientError) as caught:
        if "TrainingJobName" in job:
            sagemaker.create_training_job(**job)
        else:
            sagemaker.create_hyper_parameter_tuning_job(**job)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


@pytest.mark.parametrize("job", [tuning_job("job-1"), training_job("alone")])
def test_a_job_needs_a_role_that_sagemaker_can_assume(
    sagemaker: Any, memory: MemoryPorts, job: dict[str, Any]
) -> None:
    memory.distrustful.add(ROLE)
    assert refusal(sagemaker, job).startswith(f"Could not assume role {ROLE}. ")
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


@pytest.mark.parametrize("job", [tuning_job("job-1"), training_job("alone")])
def test_a_job_needs_objects_under_each_prefix(
    sagemaker: Any, memory: MemoryPorts, job: dict[str, Any]
) -> None:
    del memory.stored["bucket", "data/train/rows.csv"]
    message = refusal(sagemaker, job)
    assert message.startswith('No S3 objects found under S3 URL "s3://bucket/data/train/"')
    assert message.endswith('has "s3:ListBucket" permissions on bucket "bucket".')


class Buckets(MemoryPorts):
    """Ports whose S3 answers every list with an error."""

    def __init__(self, error: type[OSError]) -> None:
        super().__init__()
        self._error = error

    def objects(self, bucket: str, prefix: str) -> Any:
        raise self._error(bucket)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (FileNotFoundError, "Error message from S3: The specified bucket does not exist"),
        (PermissionError, "Error message from S3: Access Denied"),
    ],
)
def test_the_answer_of_s3_is_passed_on(error: type[OSError], answer: str) -> None:
    checks = AccountChecks(Buckets(error).ports(), "eu-central-1")
    with pytest.raises(ApiError) as caught:
        checks.check(tuning_job("job-1")["TrainingJobDefinition"])
    assert caught.value.message.endswith(answer)


def test_inputs_of_file_systems_are_not_checked_in_s3(memory: MemoryPorts) -> None:
    memory.access["bucket"] = Access.DENIED
    definition = tuning_job("job-1")["TrainingJobDefinition"]
    definition["InputDataConfig"] = [{"ChannelName": "train", "DataSource": {}}]
    AccountChecks(memory.ports(), "eu-central-1").check(definition)
