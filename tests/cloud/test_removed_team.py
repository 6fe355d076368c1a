"""A deployment without a team keeps the team's queues, and never loses a message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpoq.local.cloud import Cloud
from hpoq.local.errors import DeploymentFailed
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import ROOT

BODY = json.dumps({"hyperparameter_ranges": {"lr": {"type": "continuous", "min": 1, "max": 2}}})
BOTH = {"fraud": {}, "vision": {}}


@pytest.mark.ci
def test_messages_of_a_removed_team_are_kept_moved_and_never_replaced_by_an_empty_queue(
    cloud: Cloud, tmp_path: Path
) -> None:
    sqs = cloud.session().client("sqs")
    tiny.deploy(cloud, "moving", tmp_path / "both", teams=BOTH)
    tiny.deploy(cloud, "moving", tmp_path / "one", teams={"fraud": {}})
    left = sqs.get_queue_url(QueueName="moving-vision-requests")["QueueUrl"]
    sqs.send_message(QueueUrl=left, MessageBody=BODY)

    # https://repost.aws/knowledge-center/cdk-already-exists-error
    with pytest.raises(DeploymentFailed, match="already exists"):
        tiny.deploy(cloud, "moving", tmp_path / "again", teams=BOTH)

    target = sqs.create_queue(QueueName="meanwhile")["QueueUrl"]
    moving = subprocess.run(
        [
            sys.executable, ROOT / "examples" / "send" / "move_messages.py",
            "moving-vision-requests", "meanwhile",
        ],
        env=cloud.environ(os.environ), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert moving.stdout == "messages moved: 1\n"
    (moved,) = sqs.receive_message(QueueUrl=target)["Messages"]
    assert moved["Body"] == BODY

    for kind in ("requests", "dead-letter"):
        url = sqs.get_queue_url(QueueName=f"moving-vision-{kind}")["QueueUrl"]
        sqs.delete_queue(QueueUrl=url)
    tiny.deploy(cloud, "moving", tmp_path / "returned", teams=BOTH)
    assert sqs.get_queue_url(QueueName="moving-vision-requests")["QueueUrl"] == left


def test_a_stack_does_not_replace_a_table_that_an_earlier_one_kept(cloud: Cloud) -> None:
    session = cloud.session()
    dynamodb, formation = session.client("dynamodb"), session.client("cloudformation")
    key = [{"AttributeName": "id", "KeyType": "HASH"}]
    attributes = [{"AttributeName": "id", "AttributeType": "S"}]
    properties = {
        "TableName": "kept",
        "KeySchema": key,
        "AttributeDefinitions": attributes,
        "BillingMode": "PAY_PER_REQUEST",
    }
    dynamodb.create_table(**properties)
    dynamodb.put_item(TableName="kept", Item={"id": {"S": "one"}})
    table = {"Type": "AWS::DynamoDB::Table", "Properties": properties}
    formation.create_stack(
        StackName="kept", TemplateBody=json.dumps({"Resources": {"Table": table}})
    )
    with pytest.raises(Exception, match="ROLLBACK_COMPLETE"):
        formation.get_waiter("stack_create_complete").wait(
            StackName="kept", WaiterConfig={"Delay": 1}
        )
    events = formation.describe_stack_events(StackName="kept")["StackEvents"]
    assert any("already exists" in each.get("ResourceStatusReason", "") for each in events)
    assert dynamodb.get_item(TableName="kept", Key={"id": {"S": "one"}})["Item"]
