"""A team's topic receives events about its own requests in its own deployment, as published."""

from __future__ import annotations

import json
import time
from typing import Any

from hpoq.local.lifecycle.processes import wait_until
from tests.support.deployed_stack import Deployed
from tests.support.event_schema import check


def test_a_teams_topic_receives_its_own_events_and_no_others(deployed: Deployed) -> None:
    sqs, sns = deployed.client("sqs"), deployed.client("sns")
    name = f"listener-{time.time_ns()}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    topic = deployed.outputs["ChangeTopicArnFraud"]
    from_topic = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn["QueueArn"],
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [from_topic]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    other = {"deployment": "hpoq-2", "team": "fraud", "request_id": f"{name}-other"}
    foreign = {"Source": "hpoq", "DetailType": "Request State Change", "Detail": json.dumps(other)}
    deployed.client("events").put_events(Entries=[foreign])
    for team in ("vision", "fraud"):  # rejected: a state change without a tuning job
        message = {"request_id": f"{name}-{team}", "hyperparameter_ranges": {}}
        sqs.send_message(QueueUrl=deployed.queue(team), MessageBody=json.dumps(message))
    heard: list[dict[str, Any]] = []

    def notified() -> bool:
        deployed.client("lambda").invoke(
            FunctionName=deployed.outputs["DispatcherFunctionName"], InvocationType="Event"
        )
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        heard.extend(json.loads(each["Body"]) for each in answer.get("Messages", ()))
        return any(each["detail"]["request_id"] == f"{name}-fraud" for each in heard)

    assert wait_until(notified, 60)
    for event in heard:
        check(event)
        detail = event["detail"]
        assert (detail["deployment"], detail["team"]) == ("hpoq", "fraud")
