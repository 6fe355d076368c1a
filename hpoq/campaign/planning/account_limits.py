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
    """Return how many training instances of a type the account may use; None if that is unknown.

    Their quota and the quota of all training instances bind. Quotas are found by name because quota
    codes differ by instance type.
    """
    wanted = {aws_limits.quota_of(each) for each in (instance_type, aws_limits.ALL_INSTANCES)}
    found: list[int] = []
    try:
        pages = session.client("service-quotas", config=QUICK).get_paginator("list_service_quotas")
        for page in pages.paginate(ServiceCode=aws_limits.QUOTA_SERVICE):
            found += [int(each["Value"]) for each in page["Quotas"] if each["QuotaName"] in wanted]
    except (ClientError, BotoCoreError):
        return None
    return min(found, default=None)


def deployment_limits(client: Client) -> dict[str, int]:
    """Return the limits in the settings of a deployment; empty without a deployment."""
    try:
        limits = client.settings.deployment.limits
    except (NotDeployed, NotReachable):
        return {}
    return {
        "tuning_jobs": limits.tuning_jobs,
        "parallel_training_jobs": limits.parallel_training_jobs,
        "training_jobs_random": limits.random_training_jobs,
    }


def limits_of(
    session: boto3.Session, instance_type: str, client: Client | None = None
) -> dict[str, Any]:
    """Return the fields of ``AccountLimits`` that could be read from the account."""
    instances = instance_quota(session, instance_type)
    of_deployment = deployment_limits(client) if client else {}
    return ({"instances": instances} if instances else {}) | of_deployment
