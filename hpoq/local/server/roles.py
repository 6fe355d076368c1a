"""The roles that SageMaker assumes for jobs, as ministack's IAM knows them."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam, sts

from hpoq.local.sagemaker.ports import Access
from hpoq.local.sagemaker.settings import PARTITION
from hpoq.local.server.internal_calls import InternalCalls

SAGEMAKER = "sagemaker.amazonaws.com"
# Settings of this process's clients that training scripts need to reach the account.
CLIENT_SETTINGS = (
    "AWS_ENDPOINT_URL",
    "AWS_CA_BUNDLE",
    "AWS_EC2_METADATA_DISABLED",
)
REGION_SETTINGS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_SEED = secrets.token_hex()  # no one else can derive a role's credentials
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
        keys = {"s3:prefix": prefix}
        return self._calls.run(partial(_access, role, "s3:ListBucket", bucket, keys))

    def object_access(self, role: str, action: str, bucket: str, key: str) -> Access:
        """Return whether a role that exists may do an action of S3 with an object."""
        return self._calls.run(partial(_access, role, action, f"{bucket}/{key}", {}))

    def credentials(self, role: str) -> Mapping[str, str]:
        """Return the environment variables with which a client acts as a role in this account."""
        kept = {name: os.environ[name] for name in CLIENT_SETTINGS if name in os.environ}
        kept |= dict.fromkeys(REGION_SETTINGS, self._calls.region)
        return kept | self._calls.run(partial(_credentials, role))


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


def _credentials(arn: str) -> dict[str, str]:
    """Register a session of a role, the same one each time, and return its credentials."""
    name = _name(arn)
    key, secret, token = (
        hashlib.sha256(f"{part}:{_SEED}:{arn}".encode()).hexdigest()
        for part in ("key", "secret", "token")
    )
    key = f"ASIA{key[:16].upper()}"
    session = {
        "Arn": f"arn:{PARTITION}:sts::{_account(arn)}:assumed-role/{name}/SageMaker",
        "UserId": f"{name}:SageMaker",
        "SecretAccessKey": secret,
        "SessionToken": token,
    }
    sts.register_session(key, session)
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token,
    }


def _access(arn: str, action: str, resource: str, keys: Mapping[str, str]) -> Access:
    account, name = _account(arn), _name(arn)
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:{PARTITION}:sts::{account}:assumed-role/{name}/SageMaker",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=f"arn:{PARTITION}:s3:::{resource}",
        region=get_region(),
        secure_transport=True,
        service_context=dict(keys),
    )
    identity = iam_evaluator.evaluate(context, iam_evaluator._gather_role_policies(name, account))
    policy, owner = iam_evaluator._resource_policy("s3", context.resource_arn) or (None, None)
    result = iam_evaluator.combine_resource_policy(identity, context, policy, owner)
    return {"Allow": Access.ALLOWED, "Deny": Access.DENIED}.get(result.decision, Access.NOT_ALLOWED)


def _account(arn: str) -> str:
    return arn.split(":")[4]


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
