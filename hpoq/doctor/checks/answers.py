"""What the answers of AWS mean to a check."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

MISSING = (
    "404",
    "NoSuchBucket",
    "NoSuchKey",
    "NotFound",
    "ResourceNotFoundException",
    "NoSuchEntity",
)


def error_code(error: ClientError) -> str:
    """Return the API's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def refused_actions(
    iam: Any, role: str, actions: Sequence[str], resource: str, context: Mapping[str, str]
) -> list[str]:
    """Return the actions that a role's policies do not allow on a resource.

    Args:
        iam: the client.
        role: the role's ARN.
        actions: with the prefix of their service.
        resource: an ARN.
        context: condition keys of the calls. IAM takes a key that is not given for absent, so a
            statement with a condition on it allows nothing.
    """
    entries = [
        {
            "ContextKeyName": key,
            "ContextKeyValues": [value],
            "ContextKeyType": "string",
        }
        for key, value in context.items()
    ]
    answer = iam.simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=list(actions),
        ResourceArns=[resource],
        ContextEntries=entries,
    )
    return [
        each["EvalActionName"]
        for each in answer["EvaluationResults"]
        if each["EvalDecision"] != "allowed"
    ]


def allows_service(policy: Any, service: str) -> bool:
    """Return whether a statement of a policy document allows a service of AWS."""
    document = json.loads(policy) if isinstance(policy, str) else policy
    for statement in document.get("Statement", ()):
        principal = statement.get("Principal", {})  # "*", or services by key
        services = principal.get("Service", ()) if isinstance(principal, dict) else ()
        listed = [services] if isinstance(services, str) else list(services)
        if statement["Effect"] == "Allow" and service in listed:
            return True
    return False
