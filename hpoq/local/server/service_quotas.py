"""The reading operations of AWS Service Quotas for SageMaker, which ministack lacks.

The values are those that the SageMaker endpoint enforces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpoq.local.limits import INSTANCE_TYPE, SPOT, Limit
from hpoq.local.sagemaker.settings import PARTITION
from hpoq.local.server.service import HttpResponse, RequiredPermission

_NAMES: Mapping[str, str] = {
    Limit.TUNING_JOBS: aws_limits.TUNING_JOBS_QUOTA,
    Limit.TRAINING_JOBS: aws_limits.TRAINING_JOBS_QUOTA,
    Limit.INSTANCES: aws_limits.ALL_INSTANCES_QUOTA,
    Limit.SPOT_INSTANCES: aws_limits.ALL_SPOT_INSTANCES_QUOTA,
    Limit.PARALLEL_TRAINING_JOBS: aws_limits.PARALLEL_TRAINING_JOBS_QUOTA,
    Limit.RANDOM_TRAINING_JOBS: aws_limits.RANDOM_TRAINING_JOBS_QUOTA,
}
KNOWN_CODES = {
    aws_limits.instances_quota("ml.m5.xlarge"): "L-CCE2AFA6",
    aws_limits.ALL_INSTANCES_QUOTA: "L-00C91CB5",
}
PAGE = 100
Json = dict[str, Any]


class ServiceQuotasService:
    """The Service Quotas service, from a mapping of quota names to values."""

    PREFIX = "ServiceQuotasV20190624."
    NAME = "servicequotas"

    def __init__(self, *, region: str, account: str, values: Mapping[str, int]) -> None:
        service = aws_limits.QUOTA_SERVICE
        self._arn = f"arn:{PARTITION}:servicequotas:{region}:{account}:{service}/"
        self._quotas = [self._quota(name, value) for name, value in sorted(values.items())]

    def required_permissions(self, target: str, body: bytes) -> Sequence[RequiredPermission]:
        """Return the permission for the action, which applies to all resources."""
        return [RequiredPermission(f"servicequotas:{target.removeprefix(self.PREFIX)}")]

    def handle(self, target: str, body: bytes) -> HttpResponse:
        """Answer one request."""
        status, answer = self._answer(target.removeprefix(self.PREFIX), json.loads(body or b"{}"))
        headers = [("content-type", "application/x-amz-json-1.1")]
        return status, headers, json.dumps(answer).encode()

    def _answer(self, operation: str, request: Json) -> tuple[int, Json]:
        match operation:
            case "ListServices":
                name = "Amazon SageMaker"
                service = {"ServiceCode": aws_limits.QUOTA_SERVICE, "ServiceName": name}
                return 200, {"Services": [service]}
            case "ListServiceQuotas" | "ListAWSDefaultServiceQuotas":
                return self._page(request)
            case "GetServiceQuota" | "GetAWSDefaultServiceQuota":
                return self._one(request.get("QuotaCode", ""))
        return 400, _error(
            "UnknownOperationException", f"{operation} is not supported by this endpoint"
        )

    def _page(self, request: Json) -> tuple[int, Json]:
        if request.get("ServiceCode") != aws_limits.QUOTA_SERVICE:
            return 400, _error(
                "NoSuchResourceException", "Only the service code sagemaker has quotas"
            )
        first = int(request.get("NextToken") or 0)
        last = first + int(request.get("MaxResults") or PAGE)
        answer: Json = {"Quotas": self._quotas[first:last]}
        return 200, answer | ({"NextToken": str(last)} if last < len(self._quotas) else {})

    def _one(self, code: str) -> tuple[int, Json]:
        for quota in self._quotas:
            if quota["QuotaCode"] == code:
                return 200, {"Quota": quota}
        return 400, _error("NoSuchResourceException", f"There is no quota {code}")

    def _quota(self, name: str, value: int) -> Json:
        code = KNOWN_CODES.get(name) or _code(name)
        return {
            "ServiceCode": aws_limits.QUOTA_SERVICE,
            "ServiceName": "Amazon SageMaker",
            "QuotaArn": self._arn + code,
            "QuotaCode": code,
            "QuotaName": name,
            "Value": float(value),
            "Unit": "None",
            "Adjustable": name != aws_limits.TUNING_JOBS_QUOTA,
            "GlobalQuota": False,
        }


def aws_quotas(limits: Mapping[str, int]) -> dict[str, int]:
    """Return those limits that are service quotas of SageMaker, by their names on AWS."""
    named = {_aws_name(name): value for name, value in limits.items()}
    return {name: value for name, value in named.items() if name}


def _aws_name(limit: str) -> str | None:
    if limit.startswith(SPOT):
        return limit.removeprefix(SPOT) + aws_limits.SPOT_INSTANCES_QUOTA_ENDING
    if limit.startswith(INSTANCE_TYPE):
        return aws_limits.instances_quota(limit)
    return _NAMES.get(limit)


def _code(name: str) -> str:
    return "L-" + hashlib.sha256(name.encode()).hexdigest()[:8].upper()


def _error(code: str, message: str) -> Json:
    return {"__type": code, "message": message}
