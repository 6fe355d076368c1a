"""How many entries one transaction of the ledger takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.aws.ledger import DynamoDBRequests
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.request import TuningRequest

MOST_BYTES = 4_000_000  # TransactWriteItems


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
        accepted_at=datetime(2026, 1, 1, tzinfo=UTC),
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
