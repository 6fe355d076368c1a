"""The key policy of docs/key-policy.json allows every use of a customer key, and no more.

KMS asks the key policy; its first statement lets the identity policies of the account decide, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.source import ROOT
from tests.support.policies import (
    ACCOUNT,
    REGION,
    Call,
    Policy,
    TemplateAccount,
    as_role,
    problems,
    wrong_answers,
)
from tests.support.synthesized_stack import synthesize

PAGE = ROOT / "docs" / "key-policy.json"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0ec6f6a4-1111-2222-3333-444455556666"
DATA_KEY = ("kms:Decrypt", "kms:GenerateDataKey")
LOG = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/hpoq-dispatcher"


@pytest.fixture(scope="module")
def policy() -> Policy:
    """Return the published policy; its account, Region and name are those of the tests."""
    published: Policy = json.loads(PAGE.read_text())
    return published


@pytest.fixture(scope="module")
def account() -> TemplateAccount:
    teams = {"fraud": {"notify": True}}
    return TemplateAccount(synthesize(teams=teams, kms_key_arn=KEY).to_json())


def by_service(
    policy: Policy, service: str, action: str, *, allowed: bool = True, **context: str
) -> Call:
    return Call(
        name=f"{service} {action} {context}",
        principal=service,
        action=action,
        resource=KEY,
        resource_policy=policy,
        allowed=allowed,
        context=context,
    )


def service_calls(policy: Policy) -> Iterator[Call]:
    """Yield the calls of services that act without a role.

    The context keys are those of AWS's documentation. CloudWatch Logs: "Encrypt log data in
    CloudWatch Logs using AWS KMS". CloudWatch sends aws:SourceAccount, EventBridge neither that
    nor aws:SourceArn: "Securing Amazon SNS data with server-side encryption", section "Enable
    compatibility between event sources from AWS services and encrypted topics".
    """
    for action in ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:GenerateDataKey",
                   "kms:DescribeKey"):  # fmt: skip
        for arn, allowed in ((LOG, True), (f"{LOG}-of-others", False)):
            yield by_service(
                policy, f"logs.{REGION}.amazonaws.com", action, allowed=allowed,
                **{"kms:EncryptionContext:aws:logs:arn": arn},
            )  # fmt: skip
    for action in DATA_KEY:
        for source, allowed in ((ACCOUNT, True), ("999988887777", False)):
            yield by_service(
                policy, "cloudwatch.amazonaws.com", action, allowed=allowed,
                **{"aws:SourceAccount": source},
            )  # fmt: skip
        yield by_service(policy, "events.amazonaws.com", action)
    for service in ("events.amazonaws.com", "cloudwatch.amazonaws.com", "s3.amazonaws.com"):
        yield by_service(
            policy, service, "kms:ScheduleKeyDeletion", allowed=False,
            **{"aws:SourceAccount": ACCOUNT},
        )  # fmt: skip


def role_calls(account: TemplateAccount, policy: Policy) -> Iterator[Call]:
    """Yield the uses of the key by the dispatcher and by training jobs.

    SQS and DynamoDB use the key as the caller. SageMaker attaches volumes with a grant, which it
    creates as the training role ("SageMaker API permissions": CreateHyperParameterTuningJob).
    """
    key = {"resource_policy": policy}
    for action in DATA_KEY:
        for service in ("sqs", "dynamodb"):
            via = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}
            yield Call(
                name=f"the dispatcher through {service}: {action}",
                allowed=True,
                **as_role(account, "DispatcherRole", action, KEY, **via) | key,
            )
        yield Call(
            name=f"a training job through S3: {action}",
            allowed=True,
            **as_role(
                account, "TrainingFraudRole", action, KEY,
                **{"kms:ViaService": f"s3.{REGION}.amazonaws.com"},
            ) | key,
        )  # fmt: skip
    yield Call(
        name="Lambda decrypts the dispatcher's environment",
        allowed=True,
        **as_role(account, "DispatcherRole", "kms:Decrypt", KEY) | key,
    )
    yield Call(
        name="SageMaker attaches an encrypted volume",
        allowed=True,
        **as_role(
            account,
            "TrainingFraudRole",
            "kms:CreateGrant",
            KEY,
            **{"kms:GrantIsForAWSResource": "true"},
        )
        | key,
    )
    for role in ("DispatcherRole", "TrainingFraudRole"):
        yield Call(
            name=f"{role} does not delete the key",
            allowed=False,
            **as_role(account, role, "kms:ScheduleKeyDeletion", KEY) | key,
        )


def team_calls(account: TemplateAccount, policy: Policy) -> Iterator[Call]:
    contexts: dict[str, tuple[bool, dict[str, str]]] = {
        "through SQS": (True, {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"}),
        "through DynamoDB": (True, {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}),
        "through S3": (True, {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}),
        "directly": (False, {}),
    }
    for action in DATA_KEY:
        for name, (allowed, context) in contexts.items():
            yield Call(
                name=f"a team {name}: {action}",
                allowed=allowed,
                principal=f"arn:aws:iam::{ACCOUNT}:user/ada",
                action=action,
                resource=KEY,
                identity_policies=[account.managed_policy("hpoq-fraud-team")],
                resource_policy=policy,
                context=context,
            )


def test_the_published_key_policy_allows_every_use_of_the_key_and_no_other(
    account: TemplateAccount, policy: Policy
) -> None:
    calls = [
        *service_calls(policy),
        *role_calls(account, policy),
        *team_calls(account, policy),
    ]
    assert len(calls) >= 30
    assert wrong_answers(calls) == []


@pytest.mark.parametrize("index", range(4))
def test_no_statement_of_the_key_policy_is_superfluous(
    account: TemplateAccount, policy: Policy, index: int
) -> None:
    kept = [each for n, each in enumerate(policy["Statement"]) if n != index]
    shortened: dict[str, Any] = policy | {"Statement": kept}
    calls = [*service_calls(shortened), *role_calls(account, shortened)]
    assert wrong_answers(calls) != []
    assert len(policy["Statement"]) == 4


def test_every_action_of_the_key_policy_exists(policy: Policy) -> None:
    named = {"Statement": [each for each in policy["Statement"] if each["Action"] != "kms:*"]}
    assert problems([("key", named)]) == []
