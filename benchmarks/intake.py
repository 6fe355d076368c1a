"""Intake on the embedded cloud beside a bare loop of receive and delete; part of ``admission``.

The loop has the same threads, the same batches and the same queue, and does nothing with what it
receives: what SQS and the network cost. Both in turn, several rounds; the medians are compared.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hpo_dispatcher.aws.ledger import DynamoDBLedger
from hpo_dispatcher.aws.queues import SqsQueues
from hpo_dispatcher.intake import THREADS, intake
from hpo_dispatcher.ports import RequestQueues
from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload, message

TEAM = "fraud"
DEPLOYMENT = "bench"
ROUNDS = 2
KEYS = [("team", "HASH"), ("id", "RANGE")]
LINE = [("line", "HASH"), ("line_position", "RANGE")]


def seconds(messages: int) -> tuple[float, float]:
    """Medians: of our intake, and of the bare loop."""
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as folder, clouds.start(Path(folder) / ".hpoq") as cloud:
        _create(cloud)
        for number in range(ROUNDS):
            _send(cloud, messages, f"a{number}-")
            ours.append(_timed(lambda: _intake(cloud)))
            _send(cloud, messages, f"b{number}-")
            bare.append(_timed(lambda: _loop(cloud)))
    return statistics.median(ours), statistics.median(bare)


def _timed(what: Callable[[], int]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def _intake(cloud: Cloud) -> int:
    ledger = DynamoDBLedger(cloud.session().client("dynamodb"), f"{DEPLOYMENT}-ledger")
    builder = Simulation(Workload(name="", arrivals=[], teams={TEAM: {}})).dispatcher.builder
    taken = intake(_queues(cloud), ledger, builder, lambda: datetime.now(UTC), lambda: False)
    assert not taken.problems, taken.problems
    return taken.counts["new"]


def _loop(cloud: Cloud) -> int:
    queues = _queues(cloud)
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(lambda _: _drain(queues), range(THREADS)))


def _drain(queues: RequestQueues) -> int:
    taken = 0
    while envelopes := queues.receive(TEAM):
        queues.delete(envelopes)
        taken += len(envelopes)
    return taken


def _queues(cloud: Cloud) -> SqsQueues:
    return SqsQueues(cloud.session().client("sqs"), DEPLOYMENT)


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
    for kind in ("requests", "dead-letter"):
        sqs.create_queue(QueueName=f"{DEPLOYMENT}-{TEAM}-{kind}")
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
