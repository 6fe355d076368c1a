"""The SageMaker API of the endpoint in this process, of moto or of AWS, by one interface."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.support.engine_scene import engine_scene
from tests.support.memory_endpoint import client_of

REGION = "eu-central-1"
ON_AWS = os.environ.get("HPOQ_CONFORMANCE") == "aws"
BUCKET, ROLE, IMAGE = "bucket", "arn:aws:iam::123456789012:role/training", "image"
# boto3 would refuse some requests itself.
UNCHECKED = Config(
    parameter_validation=False, retries={"mode": "standard", "total_max_attempts": 1}
)

# AWS answers a few calls a second.
PATIENT = Config(parameter_validation=False, retries={"mode": "adaptive", "total_max_attempts": 20})


@dataclass(frozen=True)
class Answer:
    """The response of one call, or its error."""

    code: str = ""  # of the error
    message: str = ""
    body: dict[str, Any] = field(default_factory=dict)


class Service:
    """An implementation of the API.

    Args:
        client: of boto3, which checks no parameters.
        bucket: that replaces the bucket of requests.
        role: that replaces the role of requests.
        image: that replaces the training image of requests.
        pause: seconds between two looks at a job.
    """

    def __init__(
        self,
        client: Any,
        *,
        bucket: str = BUCKET,
        role: str = ROLE,
        image: str = IMAGE,
        pause: float = 0,
    ) -> None:
        self._client = client
        self._bucket, self._role, self._image = bucket, role, image
        self.pause = pause

    def call(self, operation: str, request: dict[str, Any]) -> Answer:
        """Send a request."""
        text = json.dumps(request).replace(f"s3://{BUCKET}/", f"s3://{self._bucket}/")
        text = text.replace(f'"{IMAGE}"', f'"{self._image}"')
        try:
            found = getattr(self._client, xform_name(operation))(
                **json.loads(text.replace(ROLE, self._role))
            )
        except ClientError as error:
            said = error.response["Error"]
            return Answer(said["Code"], said["Message"])
        return Answer(body=found)


@contextmanager
def conforming_service(folder: Path) -> Iterator[Service]:
    """Yield the service that HPOQ_CONFORMANCE names: ``aws``, else the endpoint."""
    if ON_AWS:
        yield Service(
            boto3.client("sagemaker", config=PATIENT),
            bucket=os.environ["HPOQ_CONFORMANCE_BUCKET"],
            role=os.environ["HPOQ_CONFORMANCE_ROLE"],
            image=os.environ["HPOQ_CONFORMANCE_IMAGE"],
            pause=5,
        )
        return
    session = boto3.Session("testing", "testing", region_name=REGION)
    with pytest.MonkeyPatch.context() as patch, engine_scene(folder, patch) as scene:
        yield Service(client_of(scene.endpoint, session, UNCHECKED))


@contextmanager
def moto_service() -> Iterator[Service]:
    """Yield moto's SageMaker."""
    with mock_aws():
        yield Service(boto3.client("sagemaker", region_name=REGION, config=UNCHECKED))
