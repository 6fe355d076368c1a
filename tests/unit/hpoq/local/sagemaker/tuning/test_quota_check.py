"""The quotas of training jobs and instances."""

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
