"""Actions and resources by which AWS authorizes calls, where ministack names others.

Without this patch, ministack denies a policy's user calls that AWS allows: it takes every call
about a function's concurrency for a change of it, writes the default event bus into the ARNs of its
rules, and does not see whose policies are simulated.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_actions

CONCURRENCY = {"GET": "GetFunctionConcurrency", "DELETE": "DeleteFunctionConcurrency"}

# The place of the query parameters: after method, path, headers and body.
PARAMETERS = 4


def authorize_as_aws_does() -> None:
    """Replace the functions that derive action and resource from a request."""
    original_action = iam_actions.extract_iam_action
    original_resource = iam_actions.extract_resource_arn

    def action(service: str, method: str, *request: Any) -> str | None:
        found: str | None = original_action(service, method, *request)
        if found == "lambda:PutFunctionConcurrency":
            return f"lambda:{CONCURRENCY.get(method, 'PutFunctionConcurrency')}"
        return found

    def resource(service: str, *request: Any) -> str:
        found: str = original_resource(service, *request)
        if service == "events":
            return found.replace(":rule/default/", ":rule/")
        if service == "iam" and found == "*":
            return iam_actions._query_param(request[PARAMETERS], "PolicySourceArn") or found
        return found

    iam_actions.extract_iam_action = action
    iam_actions.extract_resource_arn = resource
