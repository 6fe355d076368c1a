"""What the ledger sends to DynamoDB in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.aws.ledger import DynamoDBRequests
from hpo_dispatcher.contract.entry import Entry, Key, Spent, Status
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.ports import Ending

MOST_BYTES = 4_000_000  # TransactWriteItems
MOST_WRITES = 100
NOON = datetime(2026, 1, 1, tzinfo=UTC)
KEEP = timedelta(days=30)


class Recorder:
    """A DynamoDB that takes everything."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def transact_write_items(self, *, TransactItems: Any) -> None:  # noqa: N803  boto3's name
        self.sent.append(TransactItems)


def entry(number: int, text: str) -> Entry:
    request = TuningRequest.model_validate(
        {
            "request_id": f"r{number}",
            "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.1, "max": 1}},
            "hyperparameters": {"text": text},
        }
    )
    return Entry(
        team="fraud",
        request_id=f"r{number}",
        status=Status.QUEUED,
        accepted_at=NOON,
        request_json=request.to_json(),
    )


@pytest.mark.parametrize("character", ["a", "é", "語"])
def test_a_transaction_of_large_requests_is_no_larger_than_dynamodb_takes(character: str) -> None:
    dynamodb: Any = Recorder()
    text = character * (240_000 // len(character.encode()))
    DynamoDBRequests(Table(dynamodb, "ledger")).add([entry(number, text) for number in range(40)])

    assert sum(len(writes) for writes in dynamodb.sent) == 40
    assert all(len(json.dumps(writes)) < MOST_BYTES for writes in dynamodb.sent)


def test_forty_ordinary_requests_are_one_transaction() -> None:
    dynamodb: Any = Recorder()
    DynamoDBRequests(Table(dynamodb, "ledger")).add(
        [entry(number, "a" * 300) for number in range(40)]
    )
    assert [len(writes) for writes in dynamodb.sent] == [40]


def ending(of: Entry) -> Ending:
    return Ending(
        team=of.team, request_id=of.request_id, was=(Status.IN_PROGRESS,), ended_at=NOON,
        status=Status.COMPLETED, tuning_job_name=of.job_name,
        spent=Spent(team=of.team, month="2026-01", instance_seconds=1),
    )  # fmt: skip


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger, entries: ledger.start(entries, "me", NOON),
        lambda ledger, entries: ledger.finish([ending(each) for each in entries]),
    ],
)
def test_any_number_of_requests_of_as_many_teams_start_or_end_at_once(
    write: Callable[[DynamoDBRequests, list[Entry]], list[Key]],
) -> None:
    """Their rows, budgets and the check of the lease are in transactions of up to 100 writes."""
    dynamodb: Any = Recorder()
    entries = [replace(entry(number, "a"), team=f"team-{number}") for number in range(120)]
    changed = write(DynamoDBRequests(Table(dynamodb, "ledger")), entries)
    assert list(changed) == [each.key for each in entries]
    assert len(dynamodb.sent) > 1
    assert all(len(writes) <= MOST_WRITES for writes in dynamodb.sent)


def test_any_number_of_blocked_requests_is_added_at_once() -> None:
    dynamodb: Any = Recorder()
    blocked = [replace(entry(number, "a"), blocked=True) for number in range(120)]
    DynamoDBRequests(Table(dynamodb, "ledger")).add(blocked)
    assert sum(len(writes) for writes in dynamodb.sent) == 2 * len(blocked)
    assert all(len(writes) <= MOST_WRITES for writes in dynamodb.sent)


def test_what_has_ended_expires_whether_it_is_added_or_changed() -> None:
    dynamodb: Any = Recorder()
    ledger = DynamoDBRequests(Table(dynamodb, "ledger"), clock=lambda: NOON, keep=KEEP)
    ledger.add([replace(entry(1, "a"), status=Status.CANCELLED, ended_at=NOON)])
    ledger.finish([ending(entry(2, "a"))])
    (added,), (_spent, changed, _running) = dynamodb.sent
    at = {"N": str(int((NOON + KEEP).timestamp()))}
    assert added["Put"]["Item"]["expires_at"] == at
    assert changed["Update"]["ExpressionAttributeValues"][":expires_at"] == at
