"""An entry whose id is in use: what another writer of the ledger did between two calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.aws.ledger import ATTEMPTS, DynamoDBRequests
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.ledger.entry_item import entry_item
from hpo_dispatcher.ports import Added
from tests.support.tuning_requests import request

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENTRY = Entry(
    team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON,
    request_json=request().to_json(),
)  # fmt: skip
REJECTED = replace(ENTRY, status=Status.REJECTED, request_json="", ended_at=NOON)
CANCELLED = replace(ENTRY, status=Status.CANCELLED, request_json="", ended_at=NOON)
OTHER = replace(ENTRY, request_json=request(priority=5).to_json())
REBUILT = replace(
    ENTRY, status=Status.COMPLETED, request_json="", tuning_job_name="j", ended_at=NOON
)


class Changing:
    """A table in which other writers change the one row before each of our calls.

    Args:
        stored: the row as each read finds it; None: there is none.
        writes: whether each transaction is written; False: its condition fails.
    """

    def __init__(self, stored: list[Entry | None], writes: list[bool]) -> None:
        self._stored: Iterator[Entry | None] = iter(stored)
        self._writes = iter(writes)
        self.written: list[Any] = []

    def item(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        assert key == {"team": "fraud", "id": "a"}
        found = next(self._stored)
        return entry_item(found, NOON) if found else None

    def write_those_that_can(self, groups: Mapping[str, Any], _: Any = None) -> set[str]:
        if not next(self._writes):
            return set()
        self.written += groups.values()
        return set(groups)


def ledger(table: Any, keep: timedelta | None = None) -> DynamoDBRequests:
    return DynamoDBRequests(table, clock=lambda: NOON, keep=keep)


@pytest.mark.parametrize(
    ("stored", "writes", "outcome"),
    [
        ([], [True], Added.NEW),
        ([ENTRY], [False], Added.REPEATED),
        ([OTHER], [False], Added.TAKEN),
        ([CANCELLED], [False], Added.CANCELLED),
        ([REBUILT], [False], Added.REPEATED),
        ([None], [False], Added.TAKEN),  # it expired just now
        ([REJECTED], [False, True], Added.NEW),
        ([REJECTED, ENTRY], [False, False], Added.REPEATED),  # added by another dispatcher
        ([REJECTED, OTHER], [False, False], Added.TAKEN),
        ([REJECTED, CANCELLED], [False, False], Added.CANCELLED),
        ([REJECTED, REBUILT], [False, False], Added.REPEATED),
        ([REJECTED, None], [False, False], Added.TAKEN),
    ],
)
def test_the_outcome_is_that_of_the_entry_that_has_the_id_in_the_end(
    stored: list[Entry | None], writes: list[bool], outcome: Added
) -> None:
    assert ledger(Changing(stored, writes)).add([ENTRY]) == [outcome]


@pytest.mark.parametrize("keep", [timedelta(days=30), None])
def test_an_ended_entry_that_replaces_a_rejected_one_expires_as_any_other(
    keep: timedelta | None,
) -> None:
    table = Changing([REJECTED], [False, True])
    assert ledger(table, keep).add([CANCELLED]) == [Added.NEW]
    ((put,),) = table.written
    expires = {"N": str(int((NOON + keep).timestamp()))} if keep else None
    assert put["Put"]["Item"].get("expires_at") == expires


@pytest.mark.parametrize("times", range(ATTEMPTS + 1))
def test_a_change_is_repeated_while_others_change_the_request_in_between(times: int) -> None:
    table = Changing([ENTRY] * ATTEMPTS, [False] * times + [True])
    held = ledger(table).hold("fraud", "a")
    assert held == (ENTRY if times < ATTEMPTS else None)
    assert len(table.written) == (1 if times < ATTEMPTS else 0)


def test_a_change_of_what_does_not_exist_or_no_longer_waits_writes_nothing() -> None:
    ended = replace(ENTRY, status=Status.COMPLETED)
    found: list[list[Entry | None]] = [[None], [ended], [ENTRY, None], [ENTRY, ended]]
    for stored in found:
        table = Changing(stored, [False])
        assert ledger(table).set_priority("fraud", "a", 5) is None
        assert table.written == []
