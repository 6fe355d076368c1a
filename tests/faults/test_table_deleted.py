"""The ledger's table is deleted while a cycle runs."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto.backends import get_backend

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.ports import LedgerMissing
from tests.support.dispatcher_account import Account, account, session
from tests.support.killed_dispatcher import later, make_messages_visible

__all__ = ["account", "session"]

TABLE = "hpoq-ledger"
LINE = (
    "the ledger's table hpoq-ledger does not exist. Nothing more is started, messages stay in "
    "their queues; docs/runbook.md says how to bring it back"
)
REQUESTS = [("fraud", "a"), ("fraud", "b"), ("vision", "a")]


def tables() -> Any:
    return get_backend("dynamodb")["123456789012"]["eu-central-1"].tables


@contextmanager
def deleted_before_call(session: boto3.Session, nth: int) -> Iterator[list[Any]]:
    """Delete the table before the n-th call of DynamoDB, and yield a list with its contents."""
    left, held = [nth], []

    def count(**_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            held.append(tables().pop(TABLE))

    session.events.register("before-call.dynamodb", count)
    try:
        yield held
    finally:
        session.events.unregister("before-call.dynamodb", count)


# A cycle with these requests makes at least 17 calls of the ledger.
@pytest.mark.parametrize("nth", range(1, 18))
def test_a_cycle_without_its_table_ends_with_a_one_line_error_and_resumes_from_the_backup(
    account: Account, session: boto3.Session, nth: int
) -> None:
    for team, request_id in REQUESTS:
        account.request(team, request_id)

    with deleted_before_call(session, nth) as held, pytest.raises(LedgerMissing) as caught:
        account.cycle()

    assert str(caught.value) == LINE
    assert caught.value.__suppress_context__
    assert "During handling" not in "".join(traceback.format_exception(caught.value))
    jobs_then = account.tuning_jobs()
    with pytest.raises(LedgerMissing):
        account.cycle()
    assert account.tuning_jobs() == jobs_then, "nothing starts without a ledger"

    tables()[TABLE] = held[0]  # the system backup of the deleted table
    make_messages_visible(account)
    for _ in range(2):
        later(account)

    requests = account.dispatcher().requests
    entries = requests.get_all(REQUESTS)
    assert {entry.status for entry in entries.values()} == {Status.COMPLETED}
    assert len(entries) == len(account.tuning_jobs()) == len(REQUESTS)
    assert account.waiting("fraud") == account.waiting("vision") == 0


def test_a_missing_table_stops_a_cold_start_with_the_same_error(account: Account) -> None:
    account.request("fraud", "a")
    tables().pop(TABLE)

    with pytest.raises(LedgerMissing, match=r"docs/runbook\.md"):
        account.dispatcher()

    assert account.waiting("fraud") == 1
