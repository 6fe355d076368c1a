"""A training job reaches S3 only as its role may."""

from __future__ import annotations

from typing import Any

from tests.support.memory_endpoint import MemoryPorts, tuning_job

ROLE = "arn:aws:iam::123456789012:role/training"


def reason(sagemaker: Any, memory: MemoryPorts, name: str) -> str:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job(name, jobs=1))
    memory.await_status(name, "Completed", "Failed")
    (listed,) = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )["TrainingJobSummaries"]
    job = sagemaker.describe_training_job(TrainingJobName=listed["TrainingJobName"])
    return str(job.get("FailureReason", job["TrainingJobStatus"]))


def test_code_that_the_role_may_not_read_fails_the_job(sagemaker: Any, memory: MemoryPorts) -> None:
    memory.denied_objects.add((ROLE, "s3:GetObject", "bucket/source.tar.gz"))
    denied = f"{ROLE} is not authorized to perform s3:GetObject"
    assert denied in reason(sagemaker, memory, "denied")


def test_a_cached_file_is_no_way_around_the_roles_policies(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    assert reason(sagemaker, memory, "first") == "Completed"
    memory.denied_objects.add((ROLE, "s3:GetObject", "bucket/source.tar.gz"))
    assert "is not authorized to perform s3:GetObject" in reason(sagemaker, memory, "second")
