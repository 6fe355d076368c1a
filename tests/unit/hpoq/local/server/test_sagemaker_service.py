"""The permissions that requests to SageMaker need."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from hpoq.local.server.sagemaker_service import SageMakerService
from hpoq.local.server.service import RequiredPermission


class Endpoint:
    """A SageMaker endpoint with fixed ARNs."""

    def resource_arn(self, target: str, body: bytes) -> str:
        return "arn:job"

    def role_arns(self, target: str, body: bytes) -> Sequence[str]:
        return ["arn:role"]

    def tags_of(self, arn: str) -> Mapping[str, str]:
        return {}

    def handle(self, target: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        return 200, [], target.encode() + body


def test_creating_a_job_requires_permission_for_action_tags_and_role() -> None:
    body = json.dumps({"Tags": [{"Key": "Team", "Value": "fraud"}]}).encode()
    service = SageMakerService(Endpoint())  # type: ignore[arg-type]

    action, tagging, passing = service.required_permissions(
        "SageMaker.CreateHyperParameterTuningJob", body
    )

    tags = {"aws:requesttag/team": "fraud", "aws:tagkeys": ["Team"]}
    assert action == RequiredPermission("sagemaker:CreateHyperParameterTuningJob", "arn:job", tags)
    assert tagging == RequiredPermission("sagemaker:AddTags", "arn:job", tags)
    passed_to = {"iam:passedtoservice": "sagemaker.amazonaws.com"}
    assert passing == RequiredPermission("iam:PassRole", "arn:role", passed_to)


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"Tags": 3}', b'{"Tags": [{}]}', b""])
def test_a_malformed_body_is_passed_to_the_engine(body: bytes) -> None:
    service = SageMakerService(Endpoint())  # type: ignore[arg-type]
    first = service.required_permissions("SageMaker.ListTags", body)[0]

    assert first == RequiredPermission("sagemaker:ListTags", "arn:job")
    assert service.handle("SageMaker.ListTags", body)[2] == b"SageMaker.ListTags" + body
