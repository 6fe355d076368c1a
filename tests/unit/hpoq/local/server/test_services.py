"""The services of ours beside ministack's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from hpo_dispatcher.contract.aws_limits import TUNING_JOBS_QUOTA, instances_quota
from hpoq.local.server.sagemaker_service import SageMaker
from hpoq.local.server.service import Check
from hpoq.local.server.service_quotas import ServiceQuotas, named

PREFIX = ServiceQuotas.prefix


@pytest.fixture
def quotas() -> ServiceQuotas:
    values = dict(named({"tuning_jobs": 7, "ml.m5.xlarge": 4, "instances": 9}))
    return ServiceQuotas(region="us-east-1", account="123456789012", values=values)


def ask(quotas: ServiceQuotas, operation: str, **request: Any) -> tuple[int, dict[str, Any]]:
    status, _, body = quotas.handle(PREFIX + operation, json.dumps(request).encode())
    return status, json.loads(body)


def test_quotas_have_the_names_aws_gives_them(quotas: ServiceQuotas) -> None:
    _, answer = ask(quotas, "ListServiceQuotas", ServiceCode="sagemaker")

    values = {quota["QuotaName"]: quota["Value"] for quota in answer["Quotas"]}
    assert values == {
        TUNING_JOBS_QUOTA: 7,
        "ml.m5.xlarge for training job usage": 4,
        "Number of instances across all training jobs": 9,
    }
    codes = {quota["QuotaName"]: quota["QuotaCode"] for quota in answer["Quotas"]}
    assert codes[instances_quota("ml.m5.xlarge")] == "L-CCE2AFA6"


def test_quotas_come_in_pages(quotas: ServiceQuotas) -> None:
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        _, page = ask(quotas, "ListServiceQuotas", ServiceCode="sagemaker", MaxResults=2, **token)
        seen += [quota["QuotaName"] for quota in page["Quotas"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert len(seen) == len(set(seen)) == 3


def test_one_quota_by_its_code(quotas: ServiceQuotas) -> None:
    status, answer = ask(quotas, "GetServiceQuota", ServiceCode="sagemaker", QuotaCode="L-CCE2AFA6")
    assert (status, answer["Quota"]["Value"]) == (200, 4)

    status, answer = ask(quotas, "GetServiceQuota", ServiceCode="sagemaker", QuotaCode="L-NONE")
    assert (status, answer["__type"]) == (400, "NoSuchResourceException")


def test_other_services_and_operations_are_refused_clearly(quotas: ServiceQuotas) -> None:
    assert ask(quotas, "ListServices")[1]["Services"][0]["ServiceCode"] == "sagemaker"
    assert ask(quotas, "ListServiceQuotas", ServiceCode="ec2")[0] == 400
    status, answer = ask(quotas, "RequestServiceQuotaIncrease")
    assert (status, answer["__type"]) == (400, "UnknownOperationException")


def test_reading_quotas_needs_its_permission(quotas: ServiceQuotas) -> None:
    checks = quotas.checks(PREFIX + "ListServiceQuotas", b"{}")
    assert checks == [Check("servicequotas:ListServiceQuotas")]


class Endpoint:
    """Knows ARNs, as the engine does."""

    def resource_arn(self, target: str, body: bytes) -> str:
        return "arn:job"

    def role_arns(self, target: str, body: bytes) -> Sequence[str]:
        return ["arn:role"]

    def handle(self, target: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        return 200, [], target.encode() + body


def test_creating_needs_the_action_its_tags_and_its_role() -> None:
    body = json.dumps({"Tags": [{"Key": "Team", "Value": "fraud"}]}).encode()
    service = SageMaker(Endpoint())  # type: ignore[arg-type]

    action, tagging, passing = service.checks("SageMaker.CreateHyperParameterTuningJob", body)

    tags = {"aws:requesttag/team": "fraud", "aws:tagkeys": ["Team"]}
    assert action == Check("sagemaker:CreateHyperParameterTuningJob", "arn:job", tags)
    assert tagging == Check("sagemaker:AddTags", "arn:job", tags)
    passed_to = {"iam:passedtoservice": "sagemaker.amazonaws.com"}
    assert passing == Check("iam:PassRole", "arn:role", passed_to)


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"Tags": 3}', b'{"Tags": [{}]}', b""])
def test_a_malformed_body_is_left_to_the_engine(body: bytes) -> None:
    service = SageMaker(Endpoint())  # type: ignore[arg-type]
    first = service.checks("SageMaker.ListTags", body)[0]

    assert first == Check("sagemaker:ListTags", "arn:job")
    assert service.handle("SageMaker.ListTags", body)[2] == b"SageMaker.ListTags" + body
