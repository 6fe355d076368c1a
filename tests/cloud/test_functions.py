"""Events reach busy and failing functions, and updates wait for running invocations."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until

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
        "RuleMayInvoke": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "Function"},
                "Principal": "events.amazonaws.com",
                "SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]},
            },
        },
    }
}


KEEPS_RUNNING = """
import pathlib, time

folder = pathlib.Path({folder!r})


def handler(event, context):
    (folder / "began-{version}").touch()
    while not (folder / "go").exists():
        time.sleep(0.05)
    (folder / "ended-{version}").touch()
"""


@pytest.mark.timeout(120)
def test_every_event_arrives_even_if_the_function_is_busy_or_fails(
    cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tried = tmp_path_factory.mktemp("tried")
    code = FAILS_TWICE.format(folder=str(tried))
    session = cloud.session()
    create("one-at-a-time", code, cloud)
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


@pytest.mark.timeout(120)
def test_an_invocation_completes_during_an_update_and_the_next_one_runs_the_new_code(
    cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("updated")
    create("updated", KEEPS_RUNNING.format(folder=str(folder), version=1), cloud)
    function = cloud.session().client("lambda")
    function.invoke(FunctionName="updated", InvocationType="Event")
    assert wait_until((folder / "began-1").exists, 60, step=0.1)

    function.update_function_code(
        FunctionName="updated", ZipFile=zipped(KEEPS_RUNNING.format(folder=str(folder), version=2))
    )
    function.invoke(FunctionName="updated", InvocationType="Event")
    assert not (folder / "began-2").exists(), (
        "invocations of different versions do not overlap either"
    )
    (folder / "go").touch()

    assert wait_until((folder / "ended-2").exists, 60, step=0.1)
    assert (folder / "ended-1").exists()


def create(name: str, code: str, cloud: Cloud) -> None:
    """Deploy a stack with a function, its role and its rule."""
    template = json.loads(json.dumps(TEMPLATE))
    function = template["Resources"]["Function"]["Properties"]
    function["FunctionName"] = name
    function["Runtime"] = sorted(cloud.running.function_interpreters)[-1]
    function["Code"] = {"ZipFile": code}
    stacks = cloud.session().client("cloudformation")
    stacks.create_stack(
        StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )
    stacks.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


def zipped(code: str) -> bytes:
    """Return code in a zip file, as CloudFormation packages inline code."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code)
    return buffer.getvalue()
