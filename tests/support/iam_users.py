"""IAM users of the embedded cloud, and the outcomes of their calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.exceptions import ClientError

from hpoq.local.cloud import Cloud
from hpoq.local.session import CloudSession

Call = Callable[[boto3.Session], object]
DENIED = (
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
)


def user_with(session: boto3.Session, cloud: Cloud, name: str, *policies: object) -> CloudSession:
    """Create an IAM user with exactly these policies and return a session of the user."""
    iam: Any = session.client("iam")
    iam.create_user(UserName=name)
    for number, document in enumerate(policies):
        text = json.dumps(document)
        iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=text)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return CloudSession(
        cloud.running,
        access_key_id=key["AccessKeyId"],
        secret_access_key=key["SecretAccessKey"],
    )


@contextmanager
def policy_without(session: boto3.Session, role: str, action: str) -> Iterator[None]:
    """Take the statements with an action out of the inline policy of a role."""
    iam: Any = session.client("iam")
    before = inline_policy(session, role)
    left = [each for each in before["Statement"] if action not in each["Action"]]
    assert len(left) < len(before["Statement"])
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    changed = json.dumps(before | {"Statement": left})
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=changed)
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(before))


def inline_policy(session: boto3.Session, role: str) -> dict[str, Any]:
    """Return the inline policy of a role that has one."""
    iam: Any = session.client("iam")
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy: dict[str, Any] = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    return policy


def outcome(session: boto3.Session, call: Call) -> str:
    """Make a call and return its error code, or ``done``."""
    try:
        call(session)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"
