"""Deleted tuning jobs."""

from __future__ import annotations

from typing import Any

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from hpo_dispatcher.aws.sagemaker import SageMakerTuning
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker.tuning.deletions import FAILURE_TAG
from tests.support.memory_endpoint import MemoryPorts, Start, client_of, describe, tuning_job


def status(sagemaker: Any) -> str:
    try:
        return str(describe(sagemaker, "job-1")["HyperParameterTuningJobStatus"])
    except ClientError as error:
        return str(error.response["Error"]["Code"])


def ended_job(sagemaker: Any, memory: MemoryPorts, **tags: str) -> None:
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    job = tuning_job("job-1", jobs=1, parallel=1) | {"Tags": given}
    sagemaker.create_hyper_parameter_tuning_job(**job)
    memory.await_status("job-1", "Completed")


@pytest.mark.parametrize(
    ("tags", "end"),
    [({"team": "fraud"}, "ResourceNotFound"), ({FAILURE_TAG: "fails"}, "DeleteFailed")],
)
def test_a_deleted_tuning_job_is_deleting_before_the_end(
    start: Start, session: Session, memory: MemoryPorts, tags: dict[str, str], end: str
) -> None:
    sagemaker = client_of(start(behavior={"deletion_seconds": 0.5}), session)
    ended_job(sagemaker, memory, **tags)

    sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    assert status(sagemaker) == "Deleting"
    assert wait_until(lambda: status(sagemaker) != "Deleting", 10)
    assert status(sagemaker) == end


def test_the_next_start_finishes_a_deletion(
    start: Start, session: Session, memory: MemoryPorts
) -> None:
    first = start(behavior={"deletion_seconds": 60})
    ended_job(client_of(first, session), memory)
    client_of(first, session).delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    first.close()

    assert status(client_of(start(), session)) == "ResourceNotFound"


def test_the_training_jobs_of_a_deleted_tuning_job_remain(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    ended_job(sagemaker, memory)
    began = describe(sagemaker, "job-1")["CreationTime"]
    sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    assert wait_until(lambda: status(sagemaker) == "ResourceNotFound", 10)

    found = SageMakerTuning(sagemaker).trained(["job-1", "job"])
    assert list(found) == ["job-1"]
    assert found["job-1"] >= began
