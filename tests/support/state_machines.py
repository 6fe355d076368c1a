"""State machines of Step Functions in an embedded cloud."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.support.deployed_stack import Deployed


def create(deployed: Deployed, name: str, definition: Any) -> str:
    """Create a state machine and return its ARN."""
    role = deployed.outputs["TrainingRoleArnFraud"]  # of no meaning here: ministack ignores it
    machine = deployed.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=role
    )
    return str(machine["stateMachineArn"])


def waiting_tasks(deployed: Deployed, count: int) -> list[str]:
    """Return the tokens of tasks that wait."""
    sqs, name = deployed.client("sqs"), f"waiting-{time.time_ns()}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
        "End": True,
    }
    machine = create(deployed, name, {"StartAt": "Wait", "States": {"Wait": task}})
    for _ in range(count):
        deployed.client("stepfunctions").start_execution(stateMachineArn=machine, input="{}")
    tokens: list[str] = []
    while len(tokens) < count:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        tokens += [json.loads(each["Body"])["token"] for each in answer.get("Messages", ())]
    return tokens
