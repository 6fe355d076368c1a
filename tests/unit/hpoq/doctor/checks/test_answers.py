from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from hpoq.doctor.checks.answers import allows_service, refused_actions


def policy(principal: Any, effect: str = "Allow") -> dict[str, Any]:
    return {"Statement": [{"Effect": effect, "Principal": principal, "Action": "sns:Publish"}]}


SERVICE = "cloudwatch.amazonaws.com"


@pytest.mark.parametrize(
    ("document", "allowed"),
    [
        (policy({"Service": SERVICE}), True),
        (policy({"Service": ["events.amazonaws.com", SERVICE]}), True),
        (json.dumps(policy({"Service": SERVICE})), True),
        (policy({"Service": SERVICE}, effect="Deny"), False),
        (policy({"Service": "events.amazonaws.com"}), False),
        (policy({"AWS": "*"}), False),
        (policy("*"), False),
        ({}, False),
    ],
)
def test_a_policy_allows_a_service_that_it_names(document: Any, allowed: bool) -> None:
    assert allows_service(document, SERVICE) is allowed


def test_a_simulated_call_has_the_condition_keys_that_aws_would_set() -> None:
    """SimulatePrincipalPolicy, ContextEntries: a key that is not given is absent."""
    iam = boto3.client("iam", region_name="eu-west-1")
    role, bucket = "arn:aws:iam::123456789012:role/training", "arn:aws:s3:::artifacts"
    expected = {
        "PolicySourceArn": role,
        "ActionNames": ["s3:ListBucket"],
        "ResourceArns": [bucket],
        "ContextEntries": [
            {
                "ContextKeyName": "s3:prefix",
                "ContextKeyValues": ["teams/fraud/"],
                "ContextKeyType": "string",
            }
        ],
    }
    denied = {"EvalActionName": "s3:ListBucket", "EvalDecision": "implicitDeny"}
    with Stubber(iam) as stub:
        stub.add_response("simulate_principal_policy", {"EvaluationResults": [denied]}, expected)
        context = {"s3:prefix": "teams/fraud/"}
        assert refused_actions(iam, role, ["s3:ListBucket"], bucket, context) == ["s3:ListBucket"]
