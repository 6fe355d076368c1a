"""The limits of the account, read from it where it can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.contract import aws_limits
from hpoq.botocore_config import QUICK
from hpoq.errors import NotDeployed, NotReachable

if TYPE_CHECKING:
    import boto3

    from hpoq.client import Client


def instance_quota(session: boto3.Session, instance_type: str) -> int | None:
    """Return the quota of training instances of a type; None if it cannot be read.

    The quota is found by name because quota codes differ by instance type.
    """
    wanted = aws_limits.instances_quota(instance_type)
    try:
        pages = session.client("service-quotas", config=QUICK).get_paginator("list_service_quotas")
        for page in pages.paginate(ServiceCode=aws_limits.QUOTA_SERVICE):
            for quota in page["Quotas"]:
                if quota["QuotaName"] == wanted:
                    return int(quota["Value"])
    except (ClientError, BotoCoreError):
        return None
    return None


def tuning_job_limit(client: Client) -> int | None:
    """Return how many tuning jobs the deployment runs at once; None without a deployment."""
    try:
        return client.settings.deployment.limits.tuning_jobs
    except (NotDeployed, NotReachable):
        return None


def limits_of(
    session: boto3.Session, instance_type: str, client: Client | None = None
) -> dict[str, Any]:
    """Return the fields of ``AccountLimits`` that could be read from the account."""
    found = {
        "instances": instance_quota(session, instance_type),
        "tuning_jobs": tuning_job_limit(client) if client else None,
    }
    return {name: value for name, value in found.items() if value}
