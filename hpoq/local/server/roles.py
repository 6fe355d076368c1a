"""The roles that SageMaker assumes for jobs, as ministack's IAM knows them."""

from __future__ import annotations

from functools import partial
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam

from hpoq.local.sagemaker.ports import Access
from hpoq.local.sagemaker.settings import PARTITION
from hpoq.local.server.internal_calls import InternalCalls

SAGEMAKER = "sagemaker.amazonaws.com"
Json = dict[str, Any]


class MinistackRoles:
    """A ``Roles`` on ministack's IAM."""

    def __init__(self, calls: InternalCalls) -> None:
        self._calls = calls

    def is_assumable(self, role: str) -> bool:
        """Return whether a role exists and trusts SageMaker."""
        return self._calls.run(partial(_trusts_sagemaker, role))

    def list_access(self, role: str, bucket: str, prefix: str) -> Access:
        """Return whether a role that exists may list a bucket's objects under a prefix."""
        return self._calls.run(partial(_list_access, role, bucket, prefix))


def _trusts_sagemaker(arn: str) -> bool:
    role = iam._roles.get(_name(arn)) if _account(arn) == get_account_id() else None
    if role is None:
        return False
    context = iam_evaluator.EvalContext(
        principal_arn=SAGEMAKER,
        principal_type="Service",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn=arn,
        region=get_region(),
        service_context={"aws:sourceaccount": get_account_id()},
    )
    trust = role["AssumeRolePolicyDocument"]
    result = iam_evaluator.evaluate_resource_policy(trust, context, service=SAGEMAKER)
    return bool(result.decision == "Allow")


def _list_access(arn: str, bucket: str, prefix: str) -> Access:
    account, name = _account(arn), _name(arn)
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:{PARTITION}:sts::{account}:assumed-role/{name}/SageMaker",
        principal_type="AssumedRole",
        principal_account=account,
        action="s3:ListBucket",
        resource_arn=f"arn:{PARTITION}:s3:::{bucket}",
        region=get_region(),
        secure_transport=True,
        service_context={"s3:prefix": prefix},
    )
    identity = iam_evaluator.evaluate(context, iam_evaluator._gather_role_policies(name, account))
    policy, owner = iam_evaluator._resource_policy("s3", context.resource_arn) or (None, None)
    result = iam_evaluator.combine_resource_policy(identity, context, policy, owner)
    return {"Allow": Access.ALLOWED, "Deny": Access.DENIED}.get(result.decision, Access.NOT_ALLOWED)


def _account(arn: str) -> str:
    return arn.split(":")[4]


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
