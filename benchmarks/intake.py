"""Compare intake on the embedded cloud with a bare receive-and-delete loop; part of ``admission``.

The bare loop has the same threads, batches and queue and ignores the messages, so it costs what SQS
and the network cost. A second loop also stores each unparsed body as a ledger row in DynamoDB's
cheapest call, which is the least an intake without message loss must do. All three run in turn for
five rounds, and their medians are compared.
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpo_dispatcher.aws.clients import UNCHECKED
from hpo_dispatcher.aws.documents import DynamoDBDocuments
from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.aws.ledger import DynamoDBRequests
from hpo_dispatcher.aws.sqs import SqsQueues
from hpo_dispatcher.aws.workflows.owed import DynamoDBOwedAnswers
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.settings import TeamSettings, WorkflowSettings
from hpo_dispatcher.cycle.intake.drain import THREADS, Intake
from hpo_dispatcher.handler import tune_garbage_collector
from hpo_dispatcher.ports import Envelope, RequestQueues
from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload, message

TEAM = "fraud"
DEPLOYMENT = "bench"
# The stack's queue settings, so that each SQS call does the same work as in a deployment.
MAX_RECEIVES = 10
ONLY_TLS = {
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "sqs:*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
ROUNDS = 5
KEYS = [("team", "HASH"), ("id", "RANGE")]
Way = Callable[[], int]  # takes in all messages and returns their number
LINE = [("line", "HASH"), ("line_position", "RANGE")]


def seconds(messages: int) -> tuple[float, float, float]:
    """Return the median seconds of intake, of the bare loop, and of the loop that stores."""
    with tempfile.TemporaryDirectory() as folder, clouds.start(Path(folder) / ".hpoq") as cloud:
        _create(cloud)
        # As in the function, clients are created once, before the measurement.
        ways = [_intake(cloud), _loop(cloud), _loop(cloud, _Rows(cloud))]
        took: list[list[float]] = [[] for _ in ways]
        with _tuned_garbage_collector():
            for number, (way, taken) in enumerate(list(zip(ways, took, strict=True)) * ROUNDS):
                _send(cloud, messages, f"r{number}-")
                began = time.perf_counter()
                count = way()
                taken.append(time.perf_counter() - began)
                assert count == messages, f"{count} of {messages} were taken in"
    ours, bare, storing = map(statistics.median, took)
    return ours, bare, storing


@contextmanager
def _tuned_garbage_collector() -> Iterator[None]:
    """Tune the garbage collector as a warm function does, and restore it after the block."""
    before = gc.get_threshold()
    tune_garbage_collector()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def _intake(cloud: Cloud) -> Way:
    queues = _queues(cloud)
    dynamodb = cloud.session().client("dynamodb", config=UNCHECKED)
    table = Table(dynamodb, f"{DEPLOYMENT}-ledger")
    requests, documents = DynamoDBRequests(table), DynamoDBDocuments(table)
    builder = Simulation(Workload(name="", arrivals=[], teams={TEAM: {}})).dispatcher.builder

    intake = Intake(
        queues=queues,
        requests=requests,
        documents=documents,
        answers=DynamoDBOwedAnswers(table),
        workflow_settings=WorkflowSettings(),
        builder=builder,
        redactor=Redactor(),
        teams={TEAM: TeamSettings()},
        clock=lambda: datetime.now(UTC),
    )

    def way() -> int:
        taken = intake.run(lambda: False)
        assert not taken.problems, taken.problems
        return taken.counts["new"]

    return way


class _Rows:
    def __init__(self, cloud: Cloud) -> None:
        self._dynamodb = cloud.session().client("dynamodb", config=UNCHECKED)

    def store(self, envelopes: Sequence[Envelope]) -> None:
        items: list[dict[str, Any]] = [
            {"team": {"S": TEAM}, "id": {"S": each.message_id}, "body": {"S": each.body}}
            for each in envelopes
        ]
        puts: Any = [{"PutRequest": {"Item": item}} for item in items]
        answer = self._dynamodb.batch_write_item(RequestItems={f"{DEPLOYMENT}-ledger": puts})
        assert not answer["UnprocessedItems"]


def _loop(cloud: Cloud, rows: _Rows | None = None) -> Way:
    queues = _queues(cloud)

    def way() -> int:
        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(lambda _: _drain(queues, rows), range(THREADS)))

    return way


def _drain(queues: RequestQueues, rows: _Rows | None) -> int:
    taken = 0
    while envelopes := queues.receive(TEAM):
        if rows:
            rows.store(envelopes)
        queues.delete(envelopes)
        taken += len(envelopes)
    return taken


def _queues(cloud: Cloud) -> SqsQueues:
    return SqsQueues(cloud.session().client("sqs", config=UNCHECKED), DEPLOYMENT)


def _send(cloud: Cloud, messages: int, prefix: str) -> None:
    sqs = cloud.session().client("sqs")
    url = sqs.get_queue_url(QueueName=f"{DEPLOYMENT}-{TEAM}-requests")["QueueUrl"]
    bodies = [
        json.dumps(message(Arrival(at=0, team=TEAM, request_id=f"{prefix}{n}", seconds=0)))
        for n in range(messages)
    ]
    batches = [bodies[first : first + 10] for first in range(0, messages, 10)]

    def send(batch: list[str]) -> None:
        entries: Any = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(batch)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send, batches))


def _create(cloud: Cloud) -> None:
    sqs, dynamodb = cloud.session().client("sqs"), cloud.session().client("dynamodb")
    attributes: Any = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [ONLY_TLS]})}
    dead = sqs.create_queue(QueueName=f"{DEPLOYMENT}-{TEAM}-dead-letter", Attributes=attributes)
    arn = sqs.get_queue_attributes(QueueUrl=dead["QueueUrl"], AttributeNames=["QueueArn"])
    redrive = {
        "deadLetterTargetArn": arn["Attributes"]["QueueArn"],
        "maxReceiveCount": MAX_RECEIVES,
    }
    attributes |= {"VisibilityTimeout": "120", "RedrivePolicy": json.dumps(redrive)}
    sqs.create_queue(QueueName=f"{DEPLOYMENT}-{TEAM}-requests", Attributes=attributes)
    schema: Any = [{"AttributeName": name, "KeyType": kind} for name, kind in KEYS]
    index: Any = {
        "IndexName": "line",
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in LINE],
        "Projection": {"ProjectionType": "ALL"},
    }
    dynamodb.create_table(
        TableName=f"{DEPLOYMENT}-ledger",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=schema,
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name, _ in KEYS + LINE
        ],
        GlobalSecondaryIndexes=[index],
    )
