"""Training jobs that belong to no tuning job."""

from __future__ import annotations

from typing import Any

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    client_of,
    ended,
    training_job,
)


def test_a_standalone_training_job_trains_and_reports_its_results(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    tags = [{"Key": "team", "Value": "fraud"}]
    arn = sagemaker.create_training_job(**training_job("alone"), Tags=tags)["TrainingJobArn"]

    job = ended(sagemaker, "alone")
    assert job["TrainingJobStatus"] == "Completed"
    assert job["FinalMetricDataList"][0]["Value"] == pytest.approx(0.96, abs=1e-6)
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://bucket/")
    assert ("bucket", key) in memory.stored
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_training_job(**training_job("ALONE"))
    with pytest.raises(ClientError, match="training job is in status Completed"):
        sagemaker.stop_training_job(TrainingJobName="alone")
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.stop_training_job(TrainingJobName="nobody")
    kinds = [kind for kind, _ in memory.published]
    assert kinds.count("SageMaker Training Job State Change") == 2


def test_an_interrupted_training_job_starts_again_with_the_next_engine(
    start: Start, session: Session, memory: MemoryPorts
) -> None:
    first = start()
    client_of(first, session).create_training_job(**training_job("alone", sleep="0.5"))
    first.close()

    assert ended(client_of(start(), session), "alone")["TrainingJobStatus"] == "Completed"
