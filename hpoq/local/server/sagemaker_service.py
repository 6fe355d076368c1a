"""The SageMaker service: the SageMaker endpoint and the permissions of its requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpoq.local.sagemaker import SageMakerEndpoint
from hpoq.local.server.service import HttpResponse, RequiredPermission

PASSED_TO = {"iam:passedtoservice": "sagemaker.amazonaws.com"}


class SageMakerService:
    """The SageMaker endpoint as a service of the gateway."""

    PREFIX = "SageMaker."
    NAME = "sagemaker"

    def __init__(self, endpoint: SageMakerEndpoint) -> None:
        self._endpoint = endpoint

    def required_permissions(self, target: str, body: bytes) -> Sequence[RequiredPermission]:
        """Return the permissions for the action, its tags, and the roles that it passes."""
        operation = target.removeprefix(self.PREFIX)
        resource = self._endpoint.resource_arn(target, body)
        tags = _tags(body)
        keys = {**tags, **self._tags_of_resource(resource)}
        needed = [RequiredPermission(f"sagemaker:{operation}", resource, keys)]
        if tags and operation.startswith("Create"):
            needed.append(RequiredPermission("sagemaker:AddTags", resource, tags))
        roles = self._endpoint.role_arns(target, body)
        return needed + [RequiredPermission("iam:PassRole", role, PASSED_TO) for role in roles]

    def _tags_of_resource(self, resource: str) -> Mapping[str, str]:
        """Return the tags of an existing resource as condition keys of IAM."""
        tags = self._endpoint.tags_of(resource)
        return {f"aws:resourcetag/{key}".lower(): value for key, value in tags.items()}

    def handle(self, target: str, body: bytes) -> HttpResponse:
        """Return the endpoint's response."""
        return self._endpoint.handle(target, body)


def _tags(body: bytes) -> Mapping[str, Any]:
    """Return the tags of a request as condition keys of IAM."""
    try:
        tags = {tag["Key"]: tag["Value"] for tag in json.loads(body or b"{}").get("Tags", ())}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}  # the endpoint will reject the malformed body
    if not tags:
        return {}
    named = {f"aws:requesttag/{key}".lower(): value for key, value in tags.items()}
    return {**named, "aws:tagkeys": list(tags)}
