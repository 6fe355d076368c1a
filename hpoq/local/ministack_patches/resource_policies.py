"""Deliveries of services to topics, functions and queues, which their policies must allow.

Without this patch, an alarm publishes to any topic, and a rule of EventBridge delivers to any
target of the account.
https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
"""

from __future__ import annotations

import logging
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, eventbridge

Record = dict[str, Any]
logger = logging.getLogger(__name__)
ACTIONS_OF_STATE = {
    "ALARM": "AlarmActions",
    "OK": "OKActions",
    "INSUFFICIENT_DATA": "InsufficientDataActions",
}
# The action that a rule needs on its target, by the target's service.
ACTIONS_OF_RULE = {
    "lambda": "lambda:InvokeFunction",
    "sns": "sns:Publish",
    "sqs": "sqs:SendMessage",
}


def enforce_resource_policies() -> None:
    """Check the policy of each topic, function and queue before a service uses it."""
    _enforce_for_alarms()
    _enforce_for_rules()


def _enforce_for_alarms() -> None:
    original = cloudwatch._dispatch_alarm_actions

    def dispatch(alarm: Record, old: str, new: str, reason: str) -> None:
        field = ACTIONS_OF_STATE.get(new, "")
        keys = {
            "aws:sourcearn": alarm.get("AlarmArn", ""),
            "aws:sourceaccount": get_account_id(),
            # The default policy of a topic admits its own account by this key.
            "aws:sourceowner": get_account_id(),
        }
        allowed = [
            each
            for each in alarm.get(field) or []
            if not cloudwatch._is_sns_action_arn(each)
            or _is_allowed("cloudwatch.amazonaws.com", "sns:Publish", each, keys)
        ]
        original({**alarm, field: allowed}, old, new, reason)

    cloudwatch._dispatch_alarm_actions = dispatch


def _enforce_for_rules() -> None:
    original = eventbridge._invoke_target

    def invoke(target: Record, event: Record, rule: Record, view: Any = None) -> None:
        arn = str(target.get("Arn", ""))
        action = ACTIONS_OF_RULE.get(arn.split(":")[2] if arn.startswith("arn:") else "")
        keys = {"aws:sourcearn": rule.get("Arn", ""), "aws:sourceaccount": get_account_id()}
        if action is None or _is_allowed("events.amazonaws.com", action, arn, keys):
            original(target, event, rule, view)

    eventbridge._invoke_target = invoke


def _is_allowed(service: str, action: str, resource: str, keys: Record) -> bool:
    """Return whether the policy of a resource allows a service an action; log a refusal."""
    context = iam_evaluator.EvalContext(
        principal_arn="*",  # a service is not a principal of the account
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=get_region(),
        secure_transport=True,
        service_context=keys,
    )
    policy, _ = iam_evaluator._resource_policy(action.partition(":")[0], resource) or ("", "")
    result = iam_evaluator.evaluate_resource_policy(policy, context, service=service)
    if result.decision != "Allow":
        logger.warning("%s may not %s %s: its policy does not allow it", service, action, resource)
    return bool(result.decision == "Allow")
