"""Run tuning jobs on the local tuning engine without the embedded cloud around it."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker import AccountQuotas, EngineSettings, SageMakerEndpoint
from hpoq.local.sagemaker.ports import Access, MetricDatum, Ports, StoredObject

BUCKET = "bucket"
SOURCE = "source.tar.gz"
RUNNING = ("InProgress", "Stopping")


class Memory:
    """The engine's ports, kept in memory."""

    def __init__(self, script: str) -> None:
        self._stored = {SOURCE: packed(script)}

    def objects(self, bucket: str, prefix: str) -> Iterable[StoredObject]:
        return [
            StoredObject(key=key, size=len(content), etag=key.replace("/", "-"))
            for key, content in self._stored.items()
            if key.startswith(prefix)
        ]

    def is_assumable(self, role: str) -> bool:
        return True

    def list_access(self, role: str, bucket: str, prefix: str) -> Access:
        return Access.ALLOWED

    def object_access(self, role: str, action: str, bucket: str, key: str) -> Access:
        return Access.ALLOWED

    def credentials(self, role: str) -> dict[str, str]:
        return {}

    def read(self, bucket: str, key: str, to: Path) -> None:
        to.write_bytes(self._stored[key])

    def write(self, *_: object) -> None:
        """Discard models and log lines."""

    def put(self, *_: object | Sequence[MetricDatum]) -> None:
        """Discard events and metrics."""


def packed(script: str) -> bytes:
    """Return a source archive that contains a script."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("train.py")
        member.size = len(script)
        archive.addfile(member, io.BytesIO(script.encode()))
    return buffer.getvalue()


@contextlib.contextmanager
def engine(script: str, home: Path, parallel: int) -> Iterator[SageMakerEndpoint]:
    """Yield a started endpoint whose training jobs run a script, `parallel` at once."""
    port: Any = Memory(script)
    endpoint = SageMakerEndpoint(
        home,
        Ports(objects=port, roles=port, events=port, logs=port, metrics=port),
        EngineSettings(
            region="us-east-1",
            account="123456789012",
            interpreter=Path(sys.executable),
            quotas=AccountQuotas(),
            processes=parallel,
        ),
    )
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.close()


def ask(endpoint: SageMakerEndpoint, operation: str, **request: Any) -> Any:
    """Call an operation of the API and return its response."""
    status, _, body = endpoint.handle(f"SageMaker.{operation}", json.dumps(request).encode())
    assert status == 200, body
    return json.loads(body)


def tune(endpoint: SageMakerEndpoint, name: str, jobs: int, parallel: int) -> float:
    """Run a tuning job to its end and return the seconds it took."""
    began = time.perf_counter()
    ask(endpoint, "CreateHyperParameterTuningJob", **tuning_job(name, jobs, parallel))

    def described() -> Any:
        return ask(endpoint, "DescribeHyperParameterTuningJob", HyperParameterTuningJobName=name)

    def ended() -> bool:
        return described()["HyperParameterTuningJobStatus"] not in RUNNING

    # Polling more often would slow the trials.
    assert wait_until(ended, 600 + 2 * jobs, step=0.05)
    took = time.perf_counter() - began
    assert described()["TrainingJobStatusCounters"]["Completed"] == jobs, described()
    return took


def metric(endpoint: SageMakerEndpoint, tuning_job_name: str, metric_name: str) -> list[float]:
    """Return the final value of a metric from each training job of a tuning job."""
    listed = ask(
        endpoint, "ListTrainingJobsForHyperParameterTuningJob",
        HyperParameterTuningJobName=tuning_job_name, MaxResults=100,
    )  # fmt: skip
    names = [each["TrainingJobName"] for each in listed["TrainingJobSummaries"]]
    jobs = [ask(endpoint, "DescribeTrainingJob", TrainingJobName=name) for name in names]
    return [
        final["Value"]
        for job in jobs
        for final in job["FinalMetricDataList"]
        if final["MetricName"] == metric_name
    ]


def tuning_job(name: str, jobs: int, parallel: int) -> dict[str, Any]:
    """Return a request for a random search of one hyperparameter."""
    lr = {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1"}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": parallel
            },
            "ParameterRanges": {"ContinuousParameterRanges": [lr]},
            "RandomSeed": 1,
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "MetricDefinitions": [
                    {"Name": "loss", "Regex": "loss=([0-9.]+)"},
                    {"Name": "cpu", "Regex": "cpu=([0-9.]+)"},
                ],
            },
            "RoleArn": "arn:aws:iam::123456789012:role/training",
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/output/"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "StaticHyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"s3://{BUCKET}/{SOURCE}",
            },
        },
    }  # fmt: skip
