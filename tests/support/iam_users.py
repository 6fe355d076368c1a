"""IAM users of the embedded cloud, and the outcomes of their calls."""

from __future__ import annotations

import json
from collections.abc import Callable
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


def outcome(session: boto3.Session, call: Call) -> str:
    """Make a call and return its error code, or ``done``."""
    try:
        call(session)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"
