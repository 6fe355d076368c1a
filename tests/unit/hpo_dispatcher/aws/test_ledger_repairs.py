"""The writes of ``hpoq repair``: under the lease, and only where the ledger is as it was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.aws.lease import DynamoDBLeases
from hpo_dispatcher.aws.ledger import DynamoDBRequests
from hpo_dispatcher.contract.entry import BlockedEntry, Entry, RunningEntry, Status
from hpo_dispatcher.contract.ledger.index_rows import running_key
from hpo_dispatcher.ports import LeaseLost
from tests.support.dispatcher_account import Account, account, session
from tests.support.tuning_requests import request

__all__ = ["account", "session"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUEUED = Entry(
    team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON,
    request_json=request(after=["b"]).to_json(), instances={"ml.m5.large": 2},
)  # fmt: skip
RUNNING = replace(
    QUEUED, status=Status.IN_PROGRESS, tuning_job_name=QUEUED.job_name, started_at=NOON
)
BLOCKED = replace(QUEUED, blocked=True)


@pytest.fixture
def ledger(account: Account) -> DynamoDBRequests:
    """A ledger whose lease "me" has."""
    table = Table(account.dynamodb, "hpoq-ledger")
    DynamoDBLeases(table).acquire("me", NOON, NOON + timedelta(minutes=15))
    return DynamoDBRequests(table, clock=lambda: NOON)


def test_a_lost_entry_is_written_with_its_rows(ledger: DynamoDBRequests) -> None:
    for entry in (RUNNING, replace(BLOCKED, request_id="b")):
        assert ledger.restore(entry, None, "me")
        assert ledger.get(*entry.key) == entry
        assert not ledger.restore(entry, None, "me"), "there is an entry now"
    assert ledger.running() == [RunningEntry.of(RUNNING)]
    assert ledger.blocked() == [BlockedEntry.of(replace(BLOCKED, request_id="b"))]
    assert ledger.heads("fraud", 9) == []


def test_a_stale_entry_is_corrected_with_its_place_in_the_queue(ledger: DynamoDBRequests) -> None:
    ledger.add([QUEUED])
    assert not ledger.restore(RUNNING, Status.FAILED, "me"), "it was read in another state"
    assert ledger.restore(RUNNING, Status.QUEUED, "me")
    assert ledger.heads("fraud", 9) == []
    assert ledger.restore(QUEUED, Status.IN_PROGRESS, "me")
    assert ledger.heads("fraud", 9) == [QUEUED]
    assert ledger.running() == []


def test_only_the_rows_of_a_right_entry_are_written(
    account: Account, ledger: DynamoDBRequests
) -> None:
    key = {"team": {"S": "fraud"}, "id": {"S": "a"}}
    ledger.restore(RUNNING, None, "me")
    ledger.delete_row(running_key(RUNNING.job_name), "me")
    before = account.dynamodb.get_item(TableName="hpoq-ledger", Key=key)["Item"]
    assert not ledger.restore(RUNNING, Status.QUEUED, "me", changed=False), "no longer queued"
    assert ledger.running() == []
    assert ledger.restore(RUNNING, Status.IN_PROGRESS, "me", changed=False)
    assert ledger.running() == [RunningEntry.of(RUNNING)]
    assert account.dynamodb.get_item(TableName="hpoq-ledger", Key=key)["Item"] == before


def test_a_row_that_no_entry_accounts_for_is_deleted(ledger: DynamoDBRequests) -> None:
    for entry in (RUNNING, replace(RUNNING, request_id="b", tuning_job_name="")):
        ledger.restore(entry, None, "me")
    ledger.delete_row(running_key(RUNNING.job_name), "me")
    assert [job.request_id for job in ledger.running()] == ["b"]
    assert ledger.get(*RUNNING.key) == RUNNING
    ledger.delete_row(running_key(RUNNING.job_name), "me")


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger: ledger.restore(RUNNING, Status.QUEUED, "other"),
        lambda ledger: ledger.restore(QUEUED, Status.QUEUED, "other", changed=False),
        lambda ledger: ledger.delete_row({"team": "fraud", "id": "a"}, "other"),
    ],
)
def test_a_repair_writes_nothing_without_the_lease(
    ledger: DynamoDBRequests, write: Callable[[DynamoDBRequests], Any]
) -> None:
    ledger.add([QUEUED])
    with pytest.raises(LeaseLost):
        write(ledger)
    assert ledger.get(*QUEUED.key) == QUEUED
    assert ledger.running() == []
