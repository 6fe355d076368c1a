"""How the ledger is read: consistently where DynamoDB can, no more rows than needed, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.aws.ledger import DynamoDBReads
from hpo_dispatcher.contract.entry import BlockedEntry, Entry, RunningEntry, Status
from hpo_dispatcher.contract.ledger.dynamodb_json import to_wire
from hpo_dispatcher.contract.ledger.entry_item import entry_item
from hpo_dispatcher.contract.ledger.index_rows import blocked_item, running_item, spent_key

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENTRY = Entry(team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON)
RUNNING = RunningEntry(
    tuning_job_name="j", team="fraud", request_id="a", status=Status.STOPPING, instances={},
    started_at=NOON,
)  # fmt: skip
BLOCKED = BlockedEntry(team="fraud", request_id="a", after=("b",), warm_start_from=())


class Rows:
    """A DynamoDB whose every answer is these rows, and which records what it was asked."""

    def __init__(self, *rows: Mapping[str, Any]) -> None:
        self._rows = [to_wire(row) for row in rows]
        self.asked: list[dict[str, Any]] = []

    def query(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"Items": self._rows}

    def get_item(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"Item": self._rows[0]} if self._rows else {}

    def batch_get_item(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked["RequestItems"]["ledger"])
        return {"Responses": {"ledger": self._rows}}


def reads(rows: Rows) -> DynamoDBReads:
    dynamodb: Any = rows
    return DynamoDBReads(Table(dynamodb, "ledger"))


Read = Callable[[DynamoDBReads], Any]
CONSISTENT: Sequence[Read] = (
    lambda ledger: ledger.get("fraud", "a"),
    lambda ledger: ledger.get_all([("fraud", "a")]),
    lambda ledger: ledger.blocked(),
    lambda ledger: ledger.blocked_of("fraud", "", 5),
    lambda ledger: ledger.running(),
    lambda ledger: ledger.spent("2026-11"),
)


@pytest.mark.parametrize("read", CONSISTENT)
def test_a_decision_is_based_on_the_latest_writes(read: Read) -> None:
    rows = Rows()
    read(reads(rows))
    assert [asked["ConsistentRead"] for asked in rows.asked] == [True]


@pytest.mark.parametrize(
    "read",
    [
        lambda ledger: ledger.heads("fraud", 5),
        lambda ledger: ledger.queued_from("fraud", "0999", 5),
    ],
)
def test_a_queue_is_read_from_its_index(read: Read) -> None:
    """DynamoDB rejects consistent reads of a global secondary index."""
    rows = Rows()
    read(reads(rows))
    (asked,) = rows.asked
    assert asked["IndexName"] == "line"
    assert not asked.get("ConsistentRead")
    assert asked["Limit"] == 5


def test_no_more_blocked_requests_are_read_than_asked_for() -> None:
    """One more than asked for, because the first one can be the last one of the page before."""
    rows = Rows()
    ledger = reads(rows)
    ledger.blocked(7)
    ledger.blocked_of("fraud", "a", 7)
    assert [asked["Limit"] for asked in rows.asked] == [7, 8]


UNREADABLE = [{"version": 99}, {"status": "Unknown"}]


@pytest.mark.parametrize("damage", UNREADABLE)
def test_the_requests_beside_an_unreadable_row_are_served(damage: dict[str, Any]) -> None:
    broken = entry_item(ENTRY, NOON) | {"id": "broken"} | damage
    ledger = reads(Rows(entry_item(ENTRY, NOON), broken))
    assert ledger.heads("fraud", 2) == [ENTRY]
    assert ledger.get_all([("fraud", "a"), ("fraud", "broken")]) == {ENTRY.key: ENTRY}
    (line,) = ledger.unreadable()
    assert line.startswith("ledger row fraud/broken: ")
    assert ledger.unreadable() == [], "each is reported once"


@pytest.mark.parametrize(
    ("good", "broken", "read", "found"),
    [
        (running_item(RUNNING), {"version": 99}, lambda ledger: ledger.running(), [RUNNING]),
        (running_item(RUNNING), {"status": None}, lambda ledger: ledger.running(), [RUNNING]),
        (blocked_item(BLOCKED), {"after": None}, lambda ledger: ledger.blocked(), [BLOCKED]),
        (
            blocked_item(BLOCKED),
            {"after": None},
            lambda ledger: ledger.blocked_of("fraud", "", 2),
            [BLOCKED],
        ),
        (
            spent_key("2026-11", "fraud") | {"instance_seconds": 5},
            {"instance_seconds": None},
            lambda ledger: ledger.spent("2026-11"),
            {"fraud": 5},
        ),
    ],
)
def test_a_damaged_row_beside_the_entries_is_skipped_and_named(
    good: dict[str, Any], broken: dict[str, Any], read: Read, found: object
) -> None:
    ledger = reads(Rows(good | {"id": "x/y"} | broken, good))
    assert read(ledger) == found
    (line,) = ledger.unreadable()
    assert line.startswith(f"ledger row {good['team']}/x/y: ")


def test_an_unreadable_entry_that_a_message_names_is_an_error() -> None:
    """The message goes to the dead-letter queue with the reason."""
    with pytest.raises(Exception, match="ledger row fraud/a: has version 99"):
        reads(Rows(entry_item(ENTRY, NOON) | {"version": 99})).get("fraud", "a")
