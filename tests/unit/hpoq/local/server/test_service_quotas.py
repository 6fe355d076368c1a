"""The Service Quotas service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo_dispatcher.contract.aws_limits import TUNING_JOBS_QUOTA, instances_quota
from hpoq.local.limits import Profile, limits_of
from hpoq.local.server.service import RequiredPermission
from hpoq.local.server.service_quotas import (
    ServiceQuotasService,
    aws_quotas,
)

PREFIX = ServiceQuotasService.PREFIX


@pytest.fixture
def quotas() -> ServiceQuotasService:
    values = aws_quotas({"tuning_jobs": 7, "ml.m5.xlarge": 4, "instances": 9})
    return ServiceQuotasService(region="us-east-1", account="123456789012", values=values)


def ask(quotas: ServiceQuotasService, operation: str, **request: Any) -> tuple[int, dict[str, Any]]:
    status, _, body = quotas.handle(PREFIX + operation, json.dumps(request).encode())
    return status, json.loads(body)


def test_quotas_have_the_names_of_aws(quotas: ServiceQuotasService) -> None:
    _, answer = ask(quotas, "ListServiceQuotas", ServiceCode="sagemaker")

    values = {quota["QuotaName"]: quota["Value"] for quota in answer["Quotas"]}
    assert values == {
        TUNING_JOBS_QUOTA: 7,
        "ml.m5.xlarge for training job usage": 4,
        "Number of instances across all training jobs": 9,
    }
    codes = {quota["QuotaName"]: quota["QuotaCode"] for quota in answer["Quotas"]}
    assert codes[instances_quota("ml.m5.xlarge")] == "L-CCE2AFA6"


def test_a_new_account_lists_its_quotas_and_nothing_else() -> None:
    quotas = aws_quotas(limits_of(Profile.NEW_ACCOUNT, {}))

    assert quotas["Number of instances across all training jobs"] == 4
    assert quotas["Number of instances across all spot training jobs"] == 4
    assert quotas["ml.m5.xlarge for spot training job usage"] == 0
    assert quotas["Number of parallel training jobs per hyperparameter tuning job"] == 10
    assert not {name for name in quotas if "_" in name}


def test_quotas_are_listed_in_pages(quotas: ServiceQuotasService) -> None:
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        _, page = ask(quotas, "ListServiceQuotas", ServiceCode="sagemaker", MaxResults=2, **token)
        seen += [quota["QuotaName"] for quota in page["Quotas"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert len(seen) == len(set(seen)) == 3


def test_one_quota_is_found_by_its_code(quotas: ServiceQuotasService) -> None:
    status, answer = ask(quotas, "GetServiceQuota", ServiceCode="sagemaker", QuotaCode="L-CCE2AFA6")
    assert (status, answer["Quota"]["Value"]) == (200, 4)

    status, answer = ask(quotas, "GetServiceQuota", ServiceCode="sagemaker", QuotaCode="L-NONE")
    assert (status, answer["__type"]) == (400, "NoSuchResourceException")


def test_other_services_and_operations_return_an_error(quotas: ServiceQuotasService) -> None:
    assert ask(quotas, "ListServices")[1]["Services"][0]["ServiceCode"] == "sagemaker"
    assert ask(quotas, "ListServiceQuotas", ServiceCode="ec2")[0] == 400
    status, answer = ask(quotas, "RequestServiceQuotaIncrease")
    assert (status, answer["__type"]) == (400, "UnknownOperationException")


def test_reading_quotas_requires_permission(quotas: ServiceQuotasService) -> None:
    checks = quotas.required_permissions(PREFIX + "ListServiceQuotas", b"{}")
    assert checks == [RequiredPermission("servicequotas:ListServiceQuotas")]
