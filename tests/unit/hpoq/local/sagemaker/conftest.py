"""The endpoint with its ports in memory, driven by botocore's own client."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from hpoq.local.sagemaker import EngineSettings, Quotas, SageMakerEndpoint
from hpoq.local.sagemaker.ports import Datum, Ports, StoredObject

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


class Memory:
    """All four ports."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], bytes] = {}
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.lines: dict[str, list[str]] = {}
        self.data: list[Datum] = []
        self.changed = threading.Condition()

    def objects(self, bucket: str, prefix: str) -> list[StoredObject]:
        return [
            StoredObject(key=key, size=len(content), etag=str(hash(content)))
            for (where, key), content in sorted(self.stored.items())
            if where == bucket and key.startswith(prefix)
        ]

    def read(self, bucket: str, key: str, to: Path) -> None:
        to.write_bytes(self.stored[bucket, key])

    def write(self, *arguments: Any) -> None:
        if isinstance(arguments[2], Path):
            bucket, key, content = arguments
            self.stored[bucket, key] = content.read_bytes()
        else:
            _, stream, lines = arguments
            self.lines.setdefault(stream, []).extend(text for _, text in lines)

    def put(self, *arguments: Any) -> None:
        if len(arguments) == 1:
            self.data += arguments[0]
            return
        detail_type, detail, _, _ = arguments
        with self.changed:
            self.published.append((detail_type, json.loads(detail)))
            self.changed.notify_all()

    def await_status(self, name: str, *statuses: str, seconds: float = 60) -> str:
        """Block until an event says so."""

        def said() -> str | None:
            for _, detail in self.published:
                status = str(detail.get("HyperParameterTuningJobStatus"))
                if detail.get("HyperParameterTuningJobName") == name and status in statuses:
                    return status
            return None

        with self.changed:
            assert self.changed.wait_for(lambda: said() is not None, seconds), self.published
        return said() or ""


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


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


def client_of(endpoint: SageMakerEndpoint, session: boto3.Session) -> Any:
    """A real client whose requests go to the endpoint without a network."""
    client = session.client("sagemaker", endpoint_url="http://localhost:9")

    def answer(request: Any, **_: Any) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        name = target.decode() if isinstance(target, bytes) else target
        status, headers, body = endpoint.handle(name, request.body)
        raw: Any = io.BytesIO(body)
        raw.stream = lambda *_, **__: [raw.read()]
        return AWSResponse(request.url, status, dict(headers), raw)

    client.meta.events.register("before-send.sagemaker", answer)
    return client


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
