"""What the answers of AWS mean to a check."""

from __future__ import annotations

import json
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
