"""Batch operations of SQS are allowed by the action of the single one, as in AWS.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
"""

from __future__ import annotations

from collections.abc import Callable

from ministack.core import iam_evaluator

ALLOWED_BY = {
    "sqs:sendmessagebatch": "sqs:SendMessage",
    "sqs:deletemessagebatch": "sqs:DeleteMessage",
    "sqs:changemessagevisibilitybatch": "sqs:ChangeMessageVisibility",
}


def use_the_single_actions() -> None:
    """Let ministack ask for what a policy names."""
    original: Callable[[str, list[str], list[str]], bool] = iam_evaluator._action_matches

    def matches(action: str, actions: list[str], not_actions: list[str]) -> bool:
        return original(ALLOWED_BY.get(action.lower(), action), actions, not_actions)

    iam_evaluator._action_matches = matches
