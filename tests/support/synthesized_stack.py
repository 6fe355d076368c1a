"""The CloudFormation template of a deployment with given settings."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import aws_cdk as cdk
from aws_cdk.assertions import Template

from infra.hpo_stack import HpoStack
from infra.settings import Settings
from infra.target_stack import HpoTargetStack

TEAMS = {"fraud": {}, "vision-2": {"weight": 2.0}}


def synthesize(**settings: Any) -> Template:
    """Return the template of a deployment with these settings."""
    return _synthesized(json.dumps(settings))


@cache
def _synthesized(settings_json: str) -> Template:
    """Synthesize each deployment once per process, because synthesis takes half a second."""
    settings = json.loads(settings_json)
    app = cdk.App(context={"aws:cdk:bundling-stacks": []})
    stack = HpoStack(app, "hpoq", settings=Settings(**({"teams": TEAMS} | settings)))
    return Template.from_stack(stack)


def synthesize_target(**settings: Any) -> Template:
    """Return the template of the first target of a deployment with these settings."""
    app = cdk.App(context={"aws:cdk:bundling-stacks": []})
    made = Settings(**({"teams": TEAMS} | settings))
    return Template.from_stack(
        HpoTargetStack(app, "target", settings=made, site=made.sites[0])
    )  # fmt: skip


KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
KEY_THERE = KEY.replace("123456789012", "222222222222")  # of the target
# All settings that add grants or resources.
ALL: dict[str, Any] = {
    "teams": {"fraud": {"notify_emails": ["fraud@example.com"]}, "vision-2": {"weight": 2.0}},
    "kms_key_arn": KEY,
    "alarm_email": "on-call@example.com",
    "guardrails": {
        "vpc": {"subnets": ["subnet-1"], "security_group_ids": ["sg-1"]},
        "input_prefixes": ["s3://data/credit/"],
        "output_prefixes": ["s3://models/fraud/"],
    },
    "workflows": {"state_machines": ["credit", "churn-*"], "pipelines": ["Credit"]},
    "targets": {
        "home": {"account": "123456789012", "region": "eu-central-1"},
        "research": {
            "account": "222222222222",
            "region": "eu-central-1",
            "replicate": ["shared/"],
            "guardrails": {"output_kms_key": KEY_THERE},
        },
    },
}


def statements(template: Template, role: str) -> list[dict[str, Any]]:
    """Return the statements of the inline and managed policies of a role."""
    managed = [
        each["Ref"]
        for name, found in template.find_resources("AWS::IAM::Role").items()
        if name.startswith(role)
        for each in found["Properties"].get("ManagedPolicyArns", ())
        if "Ref" in each
    ]
    policies = [
        policy
        for policy in template.find_resources("AWS::IAM::Policy").values()
        if role in json.dumps(policy["Properties"]["Roles"])
    ] + [
        policy
        for name, policy in template.find_resources("AWS::IAM::ManagedPolicy").items()
        if name in managed
    ]
    return [
        statement
        for policy in policies
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]
