"""Actions and resources by which AWS authorizes calls, where ministack names others.

Without this patch, ministack denies a policy's user calls that AWS allows: it takes every call
about a function's concurrency for a change of it, writes the default event bus into the ARNs of its
rules, and does not see whose policies are simulated. It authorizes batch operations of SQS by
actions of their own, where IAM uses that of the single operation. It also takes the reading of a
log stream for one of the whole group, so that a policy that names streams allows none. It does not
know of which state machine a task token is, which AWS checks: aws/aws-cdk pull request 8486.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from ministack.core import iam_actions, iam_evaluator

from hpoq.local.sagemaker.settings import PARTITION

CONCURRENCY = {"GET": "GetFunctionConcurrency", "DELETE": "DeleteFunctionConcurrency"}
AUTHORIZED_BY = {
    "sqs:sendmessagebatch": "sqs:SendMessage",
    "sqs:deletemessagebatch": "sqs:DeleteMessage",
    "sqs:changemessagevisibilitybatch": "sqs:ChangeMessageVisibility",
}

# The places of these after the service: method, path, headers, body, query, Region and account.
BODY, PARAMETERS, REGION, ACCOUNT = 3, 4, 5, 6


def authorize_as_aws_does() -> None:
    """Replace the functions that derive action and resource from a request."""
    original_action = iam_actions.extract_iam_action
    original_resource = iam_actions.extract_resource_arn

    def action(service: str, method: str, *request: Any) -> str | None:
        if service == "states":
            remember_task_tokens()
        found: str | None = original_action(service, method, *request)
        if found == "lambda:PutFunctionConcurrency":
            return f"lambda:{CONCURRENCY.get(method, 'PutFunctionConcurrency')}"
        return found

    def resource(service: str, *request: Any) -> str:
        found: str = original_resource(service, *request)
        if service == "events":
            return found.replace(":rule/default/", ":rule/")
        if service == "states":
            return state_machine_in(request[BODY]) or found
        if service == "logs":
            return _log_stream(found, request)
        if service == "iam" and found == "*":
            return iam_actions._query_param(request[PARAMETERS], "PolicySourceArn") or found
        return found

    iam_actions.extract_iam_action = action
    iam_actions.extract_resource_arn = resource


def authorize_batches_by_single_action() -> None:
    """Replace batch actions by single actions when a policy is evaluated."""
    original: Callable[[str, list[str], list[str]], bool] = iam_evaluator._action_matches

    def matches(action: str, actions: list[str], not_actions: list[str]) -> bool:
        return original(AUTHORIZED_BY.get(action.lower(), action), actions, not_actions)

    iam_evaluator._action_matches = matches


def _log_stream(group: str, request: tuple[Any, ...]) -> str:
    """Return the ARN of the log stream that a call names, else that of its log group."""
    try:
        named = iam_actions.json.loads(request[BODY] or b"{}")
    except ValueError:
        return group
    identifier = str(named.get("logGroupIdentifier", ""))  # a name or an ARN
    if group == "*" and identifier:
        name = identifier.removesuffix(":*").rpartition(":log-group:")[2]
        group = f"arn:{PARTITION}:logs:{request[REGION]}:{request[ACCOUNT]}:log-group:{name}"
    stream = named.get("logStreamName")
    return f"{group}:log-stream:{stream}" if stream and group != "*" else group


_running = threading.local()
_state_machines: dict[str, str] = {}  # ARNs by token


@cache
def remember_task_tokens() -> None:
    """Record the state machine of each token from now on; the service is imported only now."""
    from ministack.services import stepfunctions

    execute, wait = stepfunctions._execute_task, stepfunctions._invoke_with_callback

    def executing(state: Any, given: Any, execution: Any, context: Any) -> Any:
        _running.state_machine = execution["stateMachineArn"]
        return execute(state, given, execution, context)

    def waiting(resource: Any, given: Any, token: str, state: Any) -> Any:
        _state_machines[token] = _running.state_machine
        return wait(resource, given, token, state)

    stepfunctions._execute_task = executing
    stepfunctions._invoke_with_callback = waiting


def state_machine_in(body: bytes | str) -> str | None:
    """Return the ARN of the state machine whose task token a request names; None for others."""
    try:
        fields = json.loads(body or b"{}")
    except ValueError:
        return None
    return _state_machines.get(fields.get("taskToken", ""))
