"""Events reach a function that is busy, and one that fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpoq.local.cloud import Cloud
from hpoq.local.processes import wait_until

EVENTS = 12
FAILS_TWICE = """
import pathlib

tried = pathlib.Path({folder!r})


def handler(event, context):
    number = event["detail"]["number"]
    file = tried / str(number)
    tries = file.read_text() if file.exists() else ""
    file.write_text(tries + "x")
    if number % 3 == 0 and len(tries) < 2:
        raise RuntimeError("not yet")
"""
TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            },
        },
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": "one-at-a-time",
                "Runtime": "python3.13",
                "Handler": "index.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "ReservedConcurrentExecutions": 1,
                "Timeout": 30,
            },
        },
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {"source": ["tests.functions"]},
                "Targets": [{"Id": "function", "Arn": {"Fn::GetAtt": ["Function", "Arn"]}}],
            },
        },
    }
}


@pytest.mark.timeout(120)
def test_every_event_arrives_though_the_function_is_busy_or_fails(
    cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tried = tmp_path_factory.mktemp("tried")
    template = json.loads(json.dumps(TEMPLATE))
    function = template["Resources"]["Function"]["Properties"]
    function["Runtime"] = sorted(cloud.running.function_interpreters)[-1]
    function["Code"] = {"ZipFile": FAILS_TWICE.format(folder=str(tried))}
    session = cloud.session()
    stacks = session.client("cloudformation")
    stacks.create_stack(
        StackName="busy", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )
    stacks.get_waiter("stack_create_complete").wait(
        StackName="busy", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    for number in range(EVENTS):
        event = {
            "Source": "tests.functions",
            "DetailType": "Number",
            "Detail": json.dumps({"number": number}),
        }
        assert session.client("events").put_events(Entries=[event])["FailedEntryCount"] == 0

    def tries() -> list[int]:
        files = [tried / str(number) for number in range(EVENTS)]
        return [len(file.read_text()) if file.exists() else 0 for file in files]

    expected = [3 if number % 3 == 0 else 1 for number in range(EVENTS)]
    assert wait_until(lambda: tries() == expected, 60, step=0.2), tries()
