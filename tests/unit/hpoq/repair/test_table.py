"""What the repair reads of the ledger's table, which may have rows that it cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, RunningEntry, Status
from hpo_dispatcher.contract.ledger.dynamodb_json import to_wire
from hpo_dispatcher.contract.ledger.entry_item import entry_item
from hpo_dispatcher.contract.ledger.index_rows import blocked_item, running_item
from hpoq.repair.table import LedgerRows, read_rows

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENTRY = Entry(team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON)
RUNNING = RunningEntry(
    tuning_job_name="j", team="fraud", request_id="r", status=Status.STOPPING, instances={},
    started_at=NOON, target="research",
)  # fmt: skip
BLOCKED = BlockedEntry(team="fraud", request_id="b", after=("a",), warm_start_from=())


class Pages:
    """A DynamoDB whose table has one page for each of these rows."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows = rows

    def get_paginator(self, operation: str) -> Pages:
        assert operation == "scan"
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        assert asked == {"TableName": "ledger", "ConsistentRead": True}
        return ({"Items": [to_wire(row)]} for row in self._rows)


def rows(*found: dict[str, Any]) -> LedgerRows:
    dynamodb: Any = Pages(*found)
    return read_rows(dynamodb, "ledger")


def test_entries_and_the_rows_that_follow_from_them_are_read() -> None:
    lease = {"team": "#dispatcher", "id": "lease"}
    assert rows(entry_item(ENTRY, NOON), running_item(RUNNING), blocked_item(BLOCKED), lease) == (
        LedgerRows(entries={ENTRY.key: ENTRY}, running={"j": "research"}, blocked={BLOCKED.key})
    )


@pytest.mark.parametrize(
    ("row", "damage", "key"),
    [
        (entry_item(ENTRY, NOON), {"version": 99}, ENTRY.key),
        (entry_item(ENTRY, NOON), {"instances": ["ml.m5.large"]}, ENTRY.key),
        (running_item(RUNNING), {"status": "Unknown"}, RUNNING.key),
        (blocked_item(BLOCKED), {"after": None}, BLOCKED.key),
    ],
)
def test_the_request_of_a_row_that_cannot_be_read_is_named(
    row: dict[str, Any], damage: dict[str, Any], key: tuple[str, str]
) -> None:
    found = rows(row | damage)
    assert found.unreadable.keys() == {key}
    assert found.unreadable[key].startswith(f"ledger row {row['team']}/{row['id']}: ")
    assert (found.entries, found.running, found.blocked) == ({}, {}, set())
