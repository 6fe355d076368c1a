"""Tuning jobs outside the queue that run until a test ends them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from hpoq.local.lifecycle.processes import wait_until
from tests.support.deployed_stack import Deployed

SCRIPT = b"import time\nprint('score=1', flush=True)\ntime.sleep(600)\n"
CODE = "teams/fraud/code/sleep.tar.gz"


@contextmanager
def sleeping(
    deployed: Deployed, names: Sequence[str], tags: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a tuning job of one training job under each name, as a user of the team fraud."""
    sagemaker, bucket = deployed.client("sagemaker"), deployed.outputs["ArtifactBucketName"]
    deployed.client("s3").put_object(Bucket=bucket, Key=CODE, Body=_archive())
    for name in names:
        sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            HyperParameterTuningJobConfig={
                "Strategy": "Random",
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
                "ParameterRanges": {
                    "ContinuousParameterRanges": [{"Name": "lr", "MinValue": "0", "MaxValue": "1"}]
                },
            },
            TrainingJobDefinition=_definition(bucket, deployed.outputs["TrainingRoleArnFraud"]),
            Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        )
    try:
        yield
    finally:
        for name in names:
            sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        assert wait_until(lambda: all(_has_ended(sagemaker, name) for name in names), 60)


def _definition(bucket: str, role: str) -> dict[str, Any]:
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.10-cpu-py313"
    return {
        "StaticHyperParameters": {
            "sagemaker_program": "sleep.py",
            "sagemaker_submit_directory": f"s3://{bucket}/{CODE}",
        },
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "score", "Regex": "score=([0-9]+)"}],
        },
        "RoleArn": role,
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/teams/fraud/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 900},
    }


def _archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("sleep.py")
        member.size = len(SCRIPT)
        archive.addfile(member, io.BytesIO(SCRIPT))
    return packed.getvalue()


def _has_ended(sagemaker: Any, name: str) -> bool:
    try:
        job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    except ClientError:
        return True
    return job["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping")
