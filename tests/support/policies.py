"""A synthesized template as IAM sees it: who may do what, decided by a policy simulator.

Ids in the template become ARNs of one account; then every identity policy and resource policy is
a plain document. ``decide`` asks ``@cloud-copilot/iam-simulate`` (AGPL; development only).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ACCOUNT, REGION, PARTITION = "111122223333", "eu-west-1", "aws"
SCRIPT = Path(__file__).with_name("simulate_policies.mjs")
PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": PARTITION,
    "AWS::URLSuffix": "amazonaws.com",
}
Policy = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to an AWS API, and whether it has to be allowed."""

    name: str
    principal: str  # a role's ARN or a service principal
    action: str
    resource: str
    allowed: bool
    identity_policies: Sequence[Policy] = ()
    resource_policy: Policy | None = None
    context: Mapping[str, str | list[str]] = field(default_factory=dict)


class TemplateAccount:
    """An account in which one template is deployed."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.resources: Mapping[str, Any] = template["Resources"]

    def find(self, kind: str, **properties: Any) -> str:
        """Return the logical id of the one resource of a type with these properties."""
        found = [
            name
            for name, each in self.resources.items()
            if each["Type"] == kind
            and all(
                self.resolve(each.get("Properties", {}).get(key)) == value
                for key, value in properties.items()
            )
        ]
        assert len(found) == 1, f"{kind} {properties}: {found}"
        return found[0]

    def starting_with(self, prefix: str, kind: str) -> str:
        """Return the logical id of the one resource of a type whose id has a prefix."""
        found = [
            name
            for name, each in self.resources.items()
            if each["Type"] == kind and name.startswith(prefix)
        ]
        assert len(found) == 1, f"{kind} {prefix}: {found}"
        return found[0]

    def arn(self, name: str) -> str:
        """Return the ARN of a resource."""
        each = self.resources[name]
        properties = each.get("Properties", {})
        plain = name.lower()
        region = f"arn:{PARTITION}:{{service}}:{REGION}:{ACCOUNT}:"
        named = {key: self.resolve(value) for key, value in properties.items() if "Name" in key}
        match each["Type"]:
            case "AWS::SQS::Queue":
                return region.format(service="sqs") + named.get("QueueName", plain)
            case "AWS::SNS::Topic":
                return region.format(service="sns") + named.get("TopicName", plain)
            case "AWS::DynamoDB::Table":
                return region.format(service="dynamodb") + f"table/{named.get('TableName', plain)}"
            case "AWS::S3::Bucket":
                return f"arn:{PARTITION}:s3:::{named.get('BucketName', plain)}"
            case "AWS::IAM::Role":
                return f"arn:{PARTITION}:iam::{ACCOUNT}:role/{named.get('RoleName', plain)}"
            case "AWS::Lambda::Function":
                function = named.get("FunctionName", plain)
                return region.format(service="lambda") + f"function:{function}"
            case "AWS::Events::Rule":
                return region.format(service="events") + f"rule/{plain}"
            case "AWS::Logs::LogGroup":
                group = named.get("LogGroupName", plain)
                return region.format(service="logs") + f"log-group:{group}:*"
            case kind:
                return region.format(service=kind.split("::")[1].lower()) + plain

    def resolve(self, value: Any) -> Any:
        """Return a value with all intrinsic functions evaluated."""
        match value:
            case {"Ref": name}:
                return PSEUDO_PARAMETERS.get(name) or self._reference(name)
            case {"Fn::GetAtt": [name, "Arn" | "TopicArn"]}:
                return self.arn(name)
            case {"Fn::GetAtt": [name, attribute]}:
                return f"{name}.{attribute}"
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(map(str, map(self.resolve, parts)))
            case {"Fn::Sub": str(text)}:
                for name, replacement in PSEUDO_PARAMETERS.items():
                    text = text.replace(f"${{{name}}}", replacement)
                return text
            case dict():
                return {key: self.resolve(each) for key, each in value.items()}
            case list():
                return [self.resolve(each) for each in value]
            case _:
                return value

    def _reference(self, name: str) -> str:
        if name not in self.resources:  # a parameter
            return name
        arn = self.arn(name)
        kind = self.resources[name]["Type"]
        return arn if kind == "AWS::SNS::Topic" else arn.rpartition(":")[2].rpartition("/")[2]

    def identity_policies(self, role: str) -> list[Policy]:
        """Return the inline and managed policies of a role, by the role's logical id."""
        attached = self.resources[role]["Properties"].get("ManagedPolicyArns", ())
        managed = [each["Ref"] for each in attached]
        return [
            self.resolve(each["Properties"]["PolicyDocument"])
            for name, each in self.resources.items()
            if name in managed
            or (
                each["Type"] == "AWS::IAM::Policy"
                and {"Ref": role} in each["Properties"].get("Roles", ())
            )
        ]

    def managed_policy(self, name: str) -> Policy:
        """Return a managed policy by its name."""
        found = self.find("AWS::IAM::ManagedPolicy", ManagedPolicyName=name)
        policy: Policy = self.resolve(self.resources[found]["Properties"]["PolicyDocument"])
        return policy

    def resource_policy(self, name: str) -> Policy | None:
        """Return the policy of a queue, topic, bucket or function; None if it has none."""
        statements = [*self._statements(name), *self._permissions(name)]
        return {"Version": "2012-10-17", "Statement": statements} if statements else None

    def _statements(self, name: str) -> Iterator[Any]:
        holders = {
            "AWS::SQS::QueuePolicy": "Queues",
            "AWS::SNS::TopicPolicy": "Topics",
            "AWS::S3::BucketPolicy": "Bucket",
        }
        for each in self.resources.values():
            if member := holders.get(each["Type"]):
                on = each["Properties"][member]
                if {"Ref": name} in (on if isinstance(on, list) else [on]):
                    yield from self.resolve(each["Properties"]["PolicyDocument"]["Statement"])

    def _permissions(self, name: str) -> Iterator[Any]:
        for each in self.resources.values():
            properties = each.get("Properties", {})
            if each["Type"] != "AWS::Lambda::Permission":
                continue
            if self.resolve(properties["FunctionName"]) == self.arn(name):
                yield {
                    "Effect": "Allow",
                    "Principal": {"Service": properties["Principal"]},
                    "Action": properties["Action"],
                    "Resource": self.arn(name),
                    "Condition": {
                        "ArnLike": {"aws:SourceArn": self.resolve(properties["SourceArn"])}
                    },
                }

    def policies(self) -> list[tuple[str, Policy]]:
        """Return every policy document of the template with its logical id."""
        return [
            (name, self.resolve(each["Properties"]["PolicyDocument"]))
            for name, each in self.resources.items()
            if "PolicyDocument" in each.get("Properties", {})
        ]


def as_role(
    account: TemplateAccount, role: str, action: str, resource: str, **context: str | list[str]
) -> dict[str, Any]:
    """Return the parts of a call that a role makes; a resource policy has to be added."""
    name = account.starting_with(role, "AWS::IAM::Role")
    return {
        "principal": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name.lower()}/session",
        "action": action,
        "resource": resource,
        "identity_policies": account.identity_policies(name),
        "context": context,
    }


def decide(calls: Sequence[Call]) -> list[str]:
    """Return the simulator's answer to each call, as ``Allowed`` or a kind of denial."""
    asked = [
        {
            "name": call.name,
            "principal": call.principal,
            "action": call.action,
            "resource": call.resource,
            "account": ACCOUNT,
            "identity_policies": list(call.identity_policies),
            "resource_policy": call.resource_policy,
            "context": {"aws:SecureTransport": "true"} | dict(call.context),
        }
        for call in calls
    ]
    answers: list[str] = _run({"calls": asked, "policies": []})["results"]
    return answers


def wrong_answers(calls: Sequence[Call]) -> list[str]:
    """Return the calls that the simulator does not decide as they say, with its answers."""
    return [
        f"{call.name}: {answer}"
        for call, answer in zip(calls, decide(calls), strict=True)
        if (answer == "Allowed") is not call.allowed
    ]


def problems(policies: Sequence[tuple[str, Policy]]) -> list[str]:
    """Return actions that do not exist, and resources and condition keys they do not support."""
    listed = [{"name": name, "policy": policy} for name, policy in policies]
    found: list[str] = _run({"calls": [], "policies": listed})["problems"]
    return found


def _run(asked: Mapping[str, Any]) -> Any:
    command, document = ["node", str(SCRIPT)], json.dumps(asked)
    done = subprocess.run(command, input=document, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
