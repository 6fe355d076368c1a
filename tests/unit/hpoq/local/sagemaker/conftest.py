"""The endpoint with its ports in memory, driven by botocore's own client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest

from hpoq.local.sagemaker import EngineSettings, Quotas, SageMakerEndpoint
from hpoq.local.sagemaker.ports import Ports
from tests.support.memory_endpoint import Memory, archive, client_of

SCRIPT = """
import argparse, os, pathlib, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--sleep", type=float, default=0)
parser.add_argument("--fail", default="")
known = parser.parse_args()
time.sleep(known.sleep)
if known.fail:
    sys.exit(known.fail)
rows = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "rows.csv").read_text()
print(f"rows={len(rows)} auc=0.1")
print(f"auc={1 - (known.lr - 0.3) ** 2:.6f}")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(str(known.lr))
"""


@pytest.fixture
def memory() -> Memory:
    made = Memory()
    made.stored["bucket", "source.tar.gz"] = archive({"train.py": SCRIPT})
    made.stored["bucket", "data/train/rows.csv"] = b"1,2,3\n"
    return made


Start = Callable[..., SageMakerEndpoint]


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without packages: no test here waits for torch that does not need it."""
    file = tmp_path_factory.mktemp("bare") / "python"
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    file.chmod(0o755)
    return file


@pytest.fixture
def start(memory: Memory, tmp_path: Path, bare_python: Path) -> Iterator[Start]:
    """Starts endpoints on one home, and closes what is left."""
    started: list[SageMakerEndpoint] = []

    def make(
        interpreter: Path | None = None,
        memory_mib: int | None = None,
        calls_per_second: float | None = None,
        **quotas: Any,
    ) -> SageMakerEndpoint:
        any_port: Any = memory
        ports = Ports(objects=any_port, events=any_port, logs=any_port, metrics=any_port)
        settings = EngineSettings(
            region="eu-central-1",
            account="123456789012",
            interpreter=interpreter or bare_python,
            memory_mib=memory_mib,
            calls_per_second=calls_per_second,
            quotas=Quotas(**quotas),
            processes=4,
        )
        endpoint = SageMakerEndpoint(tmp_path, ports, settings)
        endpoint.start()
        started.append(endpoint)
        return endpoint

    yield make
    for endpoint in started:
        endpoint.close()


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    return boto3.Session("testing", "testing", region_name="eu-central-1")


@pytest.fixture
def sagemaker(start: Start, session: boto3.Session) -> Any:
    return client_of(start(), session)


def tuning_job(name: str, **changes: Any) -> dict[str, Any]:
    """A request; ``changes`` go into the job's configuration or its static hyperparameters."""
    static = changes.pop("static", {})
    ranges = changes.pop(
        "ranges",
        {"ContinuousParameterRanges": [{"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}]},
    )
    jobs = changes.pop("jobs", 4)
    limits = {
        "MaxNumberOfTrainingJobs": jobs,
        "MaxParallelTrainingJobs": changes.pop("parallel", min(2, jobs)),
    }
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/train/"}}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "auc"},
            "ResourceLimits": limits,
            "ParameterRanges": ranges,
            **changes,
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "auc", "Regex": "auc=([0-9.]+)"}],
            },
            "RoleArn": "arn:aws:iam::123456789012:role/training",
            "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/output/"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "StaticHyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": "s3://bucket/source.tar.gz",
                **static,
            },
        },
    }  # fmt: skip


Lines = Sequence[tuple[float, str]]
