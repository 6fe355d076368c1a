"""Team fraud's managed policy gives no access to team vision."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from boto3 import Session

from hpo_dispatcher.contract.names import tuning_job_name
from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.session import CloudSession
from tests.support.deployed_stack import Deployed
from tests.support.iam_users import DENIED, Call, outcome, user_with

ASKED = {
    "template": "smoke",
    "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}},
}


@pytest.fixture
def fraud(deployed: Deployed) -> CloudSession:
    """Create a user that has only the managed policy of team fraud."""
    iam: Any = deployed.client("iam")
    (arn,) = [
        policy["Arn"]
        for page in iam.get_paginator("list_policies").paginate(Scope="Local")
        for policy in page["Policies"]
        if policy["PolicyName"] == "hpoq-fraud-team"
    ]
    name = f"fraud-{time.time_ns()}"
    session = user_with(deployed.session, deployed.cloud, name)
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    return session


def query(deployed: Deployed, team: str, **more: Any) -> Call:
    return lambda s: s.client("dynamodb").query(
        TableName=deployed.outputs["LedgerTableName"],
        KeyConditionExpression="team = :team",
        ExpressionAttributeValues={":team": {"S": team}},
        **more,
    )


def get(deployed: Deployed, team: str) -> Call:
    key = {"team": {"S": team}, "id": {"S": "any"}}
    return lambda s: s.client("dynamodb").get_item(
        TableName=deployed.outputs["LedgerTableName"], Key=key
    )


def test_a_team_may_send_redrive_and_read_its_own_requests(
    deployed: Deployed, fraud: CloudSession
) -> None:
    nudge = {
        "Source": "hpoq",
        "DetailType": "Requests Submitted",
        "Detail": json.dumps({"team": "fraud", "count": 1}),
    }
    work: dict[str, Call] = {
        "send": lambda s: s.client("sqs").send_message(
            QueueUrl=deployed.queue("fraud"), MessageBody="{}"
        ),
        "look at refusals": lambda s: s.client("sqs").receive_message(
            QueueUrl=deployed.dead_letters("fraud")
        ),
        "read its entries": query(deployed, "fraud"),
        "read one": get(deployed, "fraud"),
        "read some by id": lambda s: s.client("dynamodb").batch_get_item(
            RequestItems={
                deployed.outputs["LedgerTableName"]: {
                    "Keys": [{"team": {"S": "fraud"}, "id": {"S": "a"}}]
                }
            }
        ),
        "read the settings": query(deployed, "#deployment"),
        "follow its requests": lambda s: s.client("sns").subscribe(
            TopicArn=deployed.outputs["ChangeTopicArnFraud"],
            Protocol="email",
            Endpoint="fraud@example.com",
        ),
        "ask for a cycle": lambda s: s.client("events").put_events(Entries=[nudge]),
    }
    assert {what: outcome(fraud, call) for what, call in work.items()} == dict.fromkeys(
        work, "done"
    )


def test_a_team_cannot_access_anything_of_another_team(
    deployed: Deployed, fraud: CloudSession
) -> None:
    table = deployed.outputs["LedgerTableName"]
    own = {"team": {"S": "fraud"}, "id": {"S": "forged"}}
    mischief: dict[str, Call] = {
        "send as vision, so also cancel, hold and warm-start": lambda s: s.client(
            "sqs"
        ).send_message(QueueUrl=deployed.queue("vision"), MessageBody="{}"),
        "take vision's messages": lambda s: s.client("sqs").receive_message(
            QueueUrl=deployed.queue("vision")
        ),
        "take its own messages back out": lambda s: s.client("sqs").receive_message(
            QueueUrl=deployed.queue("fraud")
        ),
        "empty vision's dead letters": lambda s: s.client("sqs").receive_message(
            QueueUrl=deployed.dead_letters("vision")
        ),
        "plant a dead letter": lambda s: s.client("sqs").send_message(
            QueueUrl=deployed.dead_letters("vision"), MessageBody="{}"
        ),
        "read vision's entries": query(deployed, "vision"),
        "read one of them": get(deployed, "vision"),
        "read some of them by id": lambda s: s.client("dynamodb").batch_get_item(
            RequestItems={table: {"Keys": [{"team": {"S": "vision"}, "id": {"S": "a"}}, own]}}
        ),
        "read the lease": get(deployed, "#dispatcher"),
        "read everybody's running jobs": query(deployed, "#active"),
        "scan": lambda s: s.client("dynamodb").scan(TableName=table),
        "read the line of vision": lambda s: s.client("dynamodb").query(
            TableName=table,
            IndexName="line",
            KeyConditionExpression="line = :team",
            ExpressionAttributeValues={":team": {"S": "vision"}},
        ),
        "write its own entry": lambda s: s.client("dynamodb").put_item(TableName=table, Item=own),
        "start a tuning job past the queue": lambda s: s.client(
            "sagemaker"
        ).list_hyper_parameter_tuning_jobs(),
        "run the dispatcher": lambda s: s.client("lambda").invoke(
            FunctionName=deployed.outputs["DispatcherFunctionName"]
        ),
        "follow what is not its own": lambda s: s.client("sns").subscribe(
            TopicArn=deployed.outputs["AlarmTopicArn"], Protocol="email", Endpoint="f@example.com"
        ),
        "tell its own topic lies": lambda s: s.client("sns").publish(
            TopicArn=deployed.outputs["ChangeTopicArnFraud"], Message="{}"
        ),
        "forge a state change": lambda s: s.client("events").put_events(
            Entries=[{"Source": "hpoq", "DetailType": "Request State Change", "Detail": "{}"}]
        ),
    }
    refused = {what: outcome(fraud, call) for what, call in mischief.items()}
    assert {what: code for what, code in refused.items() if code not in DENIED} == {}


def test_a_team_can_neither_cancel_nor_warm_start_from_another_teams_requests_through_its_own_queue(
    deployed: Deployed, fraud: CloudSession
) -> None:
    """Send messages that name another team; only the queue decides whose they are."""
    mark = f"iso-{time.time_ns()}"
    sqs, dynamodb = deployed.client("sqs"), deployed.client("dynamodb")

    def send(session: CloudSession | Session, team: str, message: dict[str, Any]) -> None:
        client = session.client("sqs")
        client.send_message(QueueUrl=deployed.queue(team), MessageBody=json.dumps(message))

    def entry(team: str, request_id: str) -> dict[str, Any]:
        key = {"team": {"S": team}, "id": {"S": request_id}}
        table = deployed.outputs["LedgerTableName"]
        return dynamodb.get_item(TableName=table, Key=key).get("Item", {})

    theirs = f"{mark}-theirs"
    send(deployed.session, "vision", {**ASKED, "request_id": theirs, "after": [f"{mark}-never"]})
    parent = {"HyperParameterTuningJobName": tuning_job_name("vision", theirs)}
    warm = {"ParentHyperParameterTuningJobs": [parent], "WarmStartType": "TransferLearning"}
    mischief: dict[str, dict[str, Any]] = {
        "cancel": {"version": 1, "action": "cancel", "request_id": theirs},
        "say": {**ASKED, "request_id": f"{mark}-say", "team": "vision"},
        "tag": {**ASKED, "request_id": f"{mark}-tag", "tags": {"hpoq:team": "vision"}},
        "child": {**ASKED, "request_id": f"{mark}-child", "warm_start_from": [theirs]},
        "override": {
            **ASKED, "request_id": f"{mark}-override", "overrides": {"WarmStartConfig": warm},
        },
    }  # fmt: skip
    for message in mischief.values():
        send(fraud, "fraud", message)

    def settled() -> bool:
        # Wait for each cycle: a cold start for every look would keep a busy machine busy.
        deployed.client("lambda").invoke(FunctionName=deployed.outputs["DispatcherFunctionName"])
        asked = [f"{mark}-{each}" for each in ("say", "child", "override")]
        return bool(entry("vision", theirs)) and all(entry("fraud", each) for each in asked)

    assert wait_until(settled, 60)
    assert entry("vision", theirs)["status"] == {"S": "Queued"}
    assert entry("fraud", theirs)["status"] == {
        "S": "Cancelled"
    }  # fraud's own request of that name
    assert entry("fraud", f"{mark}-say")["status"] == {"S": "Rejected"}
    assert entry("fraud", f"{mark}-override")["status"] == {"S": "Rejected"}
    assert "warm_start_from" in entry("fraud", f"{mark}-override")["reason"]["S"]
    child = entry("fraud", f"{mark}-child")
    assert child["status"]["S"] in ("Queued", "Cancelled")  # its parent is fraud's, not vision's
    assert not entry("vision", f"{mark}-tag")
    for team, request_id in (("vision", theirs), ("fraud", f"{mark}-child")):
        stop = {"version": 1, "action": "cancel", "request_id": request_id}
        sqs.send_message(QueueUrl=deployed.queue(team), MessageBody=json.dumps(stop))


def test_another_teams_queue_is_refused_by_the_command_in_one_line(
    deployed: Deployed, fraud: CloudSession
) -> None:
    keys = fraud.get_credentials()
    environment = deployed.cloud.environ() | {
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
    }
    request = json.dumps(
        {"hyperparameter_ranges": {"lr": {"type": "categorical", "values": ["1"]}}}
    )
    ended = subprocess.run(
        [sys.executable, "-m", "hpoq.cli", "submit", "--no-check", "--team", "vision", "-"],
        input=request, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "User: arn:" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"hpoq: queue of team vision: your credentials do not allow \w+. Check --team, or ask your "
        r"administrator for the team's policy",
        last,
    ), ended.stderr
