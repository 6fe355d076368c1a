"""Bad messages in a deployed queue become dead letters and do not delay good ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Status
from hpoq.client import Client
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import Deployed

LR = {"type": "continuous", "min": 0.001, "max": 0.1}
GOOD = {"request_id": "good", "hyperparameter_ranges": {"lr": LR}}
# Each message, the field that its dead letter names, and a word of the stated problem.
BAD: dict[str, tuple[str, str, str]] = {
    "not JSON": ("{lr:", "body", "JSON"),
    "unknown field": (
        json.dumps({"hyperparameter_ranges": {"lr": LR}, "stratgy": "Random"}),
        "stratgy", "unknown"),
    "min above max": (
        json.dumps({"hyperparameter_ranges": {"lr": {**LR, "min": 1.0}}}),
        "hyperparameter_ranges.lr", "min"),
    "31 ranges": (
        json.dumps({"hyperparameter_ranges": {f"p{i}": LR for i in range(31)}}),
        "hyperparameter_ranges", "31"),
    "name clash": (
        json.dumps({"hyperparameter_ranges": {"lr": LR}, "hyperparameters": {"lr": 0.1}}),
        "hyperparameters.lr", "both"),
    "over the guardrails": (
        json.dumps({
            "hyperparameter_ranges": {"lr": LR}, "resource_limits": {"max_training_jobs": 50}}),
        "resource_limits.max_training_jobs", "50"),
    "300 KB": (
        json.dumps({"hyperparameter_ranges": {"lr": LR}, "x": "x" * 300_000}), "body", "256 KB"),
    "other content": (json.dumps({**GOOD, "priority": 1}), "request_id", "good"),
}  # fmt: skip
PATIENCE = 120.0


@pytest.fixture(scope="module")
def guarded(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return tiny.deploy(
        cloud, "guarded", tmp_path_factory.mktemp("guarded"),
        teams={"fraud": {}, "vision": {}}, guardrails={"max_training_jobs": 20},
    )  # fmt: skip


@pytest.mark.timeout(2 * PATIENCE + 60)
def test_each_bad_message_becomes_a_dead_letter_with_problem_and_fix_while_good_ones_run(
    guarded: Deployed,
) -> None:
    client = Client("guarded", session=guarded.session)
    client.submit("fraud", [GOOD])
    wait_for_completed(client, "fraud", "good")

    sqs = guarded.client("sqs")
    queue = guarded.outputs["RequestQueueUrlFraud"]
    for body, _, _ in BAD.values():
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    client.submit("fraud", [{**GOOD, "request_id": "neighbour"}])
    client.submit("vision", [{**GOOD, "request_id": "neighbour"}])

    wait_for_completed(client, "fraud", "neighbour")
    wait_for_completed(client, "vision", "neighbour")
    letters = receive(sqs, guarded.outputs["DeadLetterQueueUrlFraud"], len(BAD))
    for name, (body, field, word) in BAD.items():
        (letter,) = [each for each in letters if each["Body"] == body]
        reason = {key: each["StringValue"] for key, each in letter["MessageAttributes"].items()}
        assert reason["hpoq-field"] == field, name
        assert word in reason["hpoq-problem"], (name, reason)
        assert reason["hpoq-fix"], name


def wait_for_completed(client: Client, team: str, request_id: str) -> None:
    def completed() -> bool:
        found = [e for e in client.entries(team) if e.request_id == request_id]
        return [e.status for e in found] == [Status.COMPLETED]

    assert wait_until(completed, PATIENCE, step=0.5), (team, request_id)


def receive(sqs: Any, queue: str, count: int) -> list[dict[str, Any]]:
    """Receive all messages of a queue and check their number."""
    found: list[dict[str, Any]] = []

    def all_there() -> bool:
        answer = sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"],
            WaitTimeSeconds=1, VisibilityTimeout=int(PATIENCE),
        )  # fmt: skip
        found.extend(answer.get("Messages", []))
        return len(found) >= count

    assert wait_until(all_there, PATIENCE, step=0.1), [each["Body"][:80] for each in found]
    assert len(found) == count
    return found
