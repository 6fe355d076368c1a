"""The SageMaker endpoint with its ports in memory, and requests for it."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker import SageMakerEndpoint
from hpoq.local.sagemaker.ports import Access, MetricDatum, Ports, StoredObject

Start = Callable[..., SageMakerEndpoint]
"""The type of the fixture ``start``."""


def bare_interpreter(folder: Path) -> Path:
    """Return an interpreter without packages, which starts without importing torch."""
    file = folder / "python"
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    file.chmod(0o755)
    return file


class MemoryPorts:
    """The ports of the endpoint, in memory."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], bytes] = {}
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.lines: dict[str, list[str]] = {}
        self.data: list[MetricDatum] = []
        self.changed = threading.Condition()
        self.distrustful: set[str] = set()  # roles that SageMaker cannot assume
        self.access: dict[str, Access] = {}  # of every role, by bucket; else allowed
        self.denied_objects: set[tuple[str, str, str]] = set()  # role, action, bucket/key

    def ports(self) -> Ports:
        """Return this object as each of the ports."""
        port: Any = self
        return Ports(objects=port, roles=port, events=port, logs=port, metrics=port)

    def is_assumable(self, role: str) -> bool:
        return role not in self.distrustful

    def list_access(self, role: str, bucket: str, prefix: str) -> Access:
        return self.access.get(bucket, Access.ALLOWED)

    def object_access(self, role: str, action: str, bucket: str, key: str) -> Access:
        denied = (role, action, f"{bucket}/{key}") in self.denied_objects
        return Access.NOT_ALLOWED if denied else Access.ALLOWED

    def credentials(self, role: str) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": f"key of {role}"}

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
        """Block until an event announces one of the statuses, and return it."""

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
    """Return a source archive of text files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


ONE_ATTEMPT = Config(retries={"mode": "standard", "total_max_attempts": 1})


def client_of(
    endpoint: SageMakerEndpoint, session: boto3.Session, config: Config = ONE_ATTEMPT
) -> Any:
    """Return a boto3 client whose requests go to the endpoint without a network, each once."""
    client = session.client("sagemaker", endpoint_url="http://localhost:9", config=config)

    def answer(request: Any, **_: Any) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        name = target.decode() if isinstance(target, bytes) else target
        status, headers, body = endpoint.handle(name, request.body)
        raw: Any = io.BytesIO(body)
        raw.stream = lambda *_, **__: [raw.read()]
        return AWSResponse(request.url, status, HTTPHeaders.from_dict(dict(headers)), raw)

    events: Any = client.meta.events
    events.register("before-send.sagemaker", answer)
    return client


def tuning_job(name: str, **changes: Any) -> dict[str, Any]:
    """Return a request; ``changes`` go into its configuration or static hyperparameters."""
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


def training_job(name: str, **static: str) -> dict[str, Any]:
    """Return a request for a standalone training job with the script of the tuning jobs."""
    definition = tuning_job("unused", static={"lr": "0.5", **static})["TrainingJobDefinition"]
    definition["HyperParameters"] = definition.pop("StaticHyperParameters")
    return {"TrainingJobName": name, **definition}


def channel(name: str, uri: str, **source: str) -> dict[str, Any]:
    """Return an input channel."""
    kind = {"S3DataType": "S3Prefix", "S3Uri": uri, **source}
    return {"ChannelName": name, "DataSource": {"S3DataSource": kind}}


def describe(sagemaker: Any, name: str) -> Any:
    """Return the description of a tuning job."""
    return sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def ended(sagemaker: Any, name: str) -> Any:
    """Wait for the end of a training job and return its description."""

    def described() -> Any:
        return sagemaker.describe_training_job(TrainingJobName=name)

    running = ("InProgress", "Stopping")
    assert wait_until(lambda: described()["TrainingJobStatus"] not in running, 180)
    return described()
