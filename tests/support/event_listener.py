"""A queue that receives the events of a deployment from the event bus."""

from __future__ import annotations

import json
from typing import Any

from tests.support.deployed_stack import Deployed


class EventListener:
    """All state changes of requests that a deployment publishes from now on."""

    def __init__(self, deployed: Deployed, name: str, deployment: str) -> None:
        self._sqs = deployed.client("sqs")
        events = deployed.client("events")
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        pattern = {
            "source": ["hpoq"],
            "detail-type": ["Request State Change"],
            "detail": {"deployment": [deployment]},
        }
        rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        arn = asked["Attributes"]["QueueArn"]
        from_rule = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [from_rule]})
        self._sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": policy})
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])

    def received(self) -> list[dict[str, Any]]:
        """Return the details of the events that have arrived since the last call."""
        details = []
        while True:
            answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
            messages = answer.get("Messages", ())
            if not messages:
                return details
            details += [json.loads(message["Body"])["detail"] for message in messages]
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
            ]
            self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=entries)
