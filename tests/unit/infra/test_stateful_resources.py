"""A deployment replaces no resource that stores anything.

CloudFormation replaces a resource whose logical id or one of the properties below changes. The
hash at the end of a logical id depends on the construct path, so the readable part suffices.
"""

from __future__ import annotations

import re
from typing import Any

import aws_cdk as cdk
from aws_cdk.assertions import Template

from infra.hpo_stack import HpoStack
from infra.settings import Settings

# Type -> properties whose change replaces the resource.
STATEFUL = {
    "AWS::DynamoDB::Table": ("TableName", "KeySchema"),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::SNS::Topic": ("TopicName",),
    "AWS::SQS::Queue": ("QueueName", "FifoQueue"),
}
EXPECTED = {
    "DispatcherFailures": {},
    "DispatcherLog": {"LogGroupName": "/aws/lambda/hpoq-dispatcher"},
    "LedgerTable": {
        "TableName": "hpoq-ledger",
        "KeySchema": [
            {"AttributeName": "team", "KeyType": "HASH"},
            {"AttributeName": "id", "KeyType": "RANGE"},
        ],
    },
    "MonitoringAlarms": {"TopicName": "hpoq-alarms"},
    "NoticesFraudChanges": {"TopicName": "hpoq-fraud-changes"},
    "QueueFraudDeadLetter": {"QueueName": "hpoq-fraud-dead-letter"},
    "QueueFraudRequests": {"QueueName": "hpoq-fraud-requests"},
    "QueueVision2DeadLetter": {"QueueName": "hpoq-vision-2-dead-letter"},
    "QueueVision2Requests": {"QueueName": "hpoq-vision-2-requests"},
    "TrainingArtifacts": {},
}


def stateful_resources() -> dict[str, dict[str, Any]]:
    app = cdk.App(context={"aws:cdk:bundling-stacks": []})
    settings = Settings(teams={"fraud": {"notify": True}, "vision-2": {}})
    resources = Template.from_stack(HpoStack(app, "hpoq", settings=settings)).to_json()["Resources"]
    return {
        re.sub(r"[0-9A-F]{8}$", "", logical_id): {
            name: resource["Properties"][name]
            for name in STATEFUL[resource["Type"]]
            if name in resource.get("Properties", {})
        }
        for logical_id, resource in resources.items()
        if resource["Type"] in STATEFUL
    }


def test_stateful_resources_keep_their_logical_ids_and_names() -> None:
    assert stateful_resources() == EXPECTED


def test_the_queue_index_of_the_ledger_keeps_its_name_and_keys() -> None:
    app = cdk.App(context={"aws:cdk:bundling-stacks": []})
    template = Template.from_stack(HpoStack(app, "hpoq", settings=Settings(teams={"fraud": {}})))
    (table,) = template.find_resources("AWS::DynamoDB::Table").values()
    (index,) = table["Properties"]["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "line"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["line", "line_position"]
