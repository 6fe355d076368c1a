"""SageMaker behind the cloud's port: the tuning engine, and IAM in front of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpoq.local.sagemaker import SageMakerEndpoint
from hpoq.local.server.service import Answer, Check

PASSED_TO = {"iam:passedtoservice": "sagemaker.amazonaws.com"}


class SageMaker:
    """The endpoint as a ``Service`` of the front."""

    prefix = "SageMaker."
    name = "sagemaker"

    def __init__(self, endpoint: SageMakerEndpoint) -> None:
        self._endpoint = endpoint

    def checks(self, target: str, body: bytes) -> Sequence[Check]:
        """The action itself, tagging what it creates, and passing each role it names."""
        operation = target.removeprefix(self.prefix)
        resource = self._endpoint.resource_arn(target, body)
        tags = _tags(body)
        needed = [Check(f"sagemaker:{operation}", resource, tags)]
        if tags and operation.startswith("Create"):
            needed.append(Check("sagemaker:AddTags", resource, tags))
        roles = self._endpoint.role_arns(target, body)
        return needed + [Check("iam:PassRole", role, PASSED_TO) for role in roles]

    def handle(self, target: str, body: bytes) -> Answer:
        """Whatever the engine says."""
        return self._endpoint.handle(target, body)


def _tags(body: bytes) -> Mapping[str, Any]:
    """A request's tags as IAM's condition keys."""
    try:
        tags = {tag["Key"]: tag["Value"] for tag in json.loads(body or b"{}").get("Tags", ())}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}  # malformed: the engine will say so
    if not tags:
        return {}
    named = {f"aws:requesttag/{key}".lower(): value for key, value in tags.items()}
    return {**named, "aws:tagkeys": list(tags)}
