"""Batch operations of SQS, which IAM authorizes by the action of the single operation.

Without this patch, ministack denies a policy's user batches that AWS allows.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
"""

from __future__ import annotations

from collections.abc import Callable

from ministack.core import iam_evaluator

AUTHORIZED_BY = {
    "sqs:sendmessagebatch": "sqs:SendMessage",
    "sqs:deletemessagebatch": "sqs:DeleteMessage",
    "sqs:changemessagevisibilitybatch": "sqs:ChangeMessageVisibility",
}


def authorize_batches_by_single_action() -> None:
    """Replace batch actions by single actions when a policy is evaluated."""
    original: Callable[[str, list[str], list[str]], bool] = iam_evaluator._action_matches

    def matches(action: str, actions: list[str], not_actions: list[str]) -> bool:
        return original(AUTHORIZED_BY.get(action.lower(), action), actions, not_actions)

    iam_evaluator._action_matches = matches
