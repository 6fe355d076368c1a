"""A dispatcher killed at any call loses nothing and doubles nothing."""

from __future__ import annotations

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.cycle.pacing import Deadline
from tests.support.dispatcher_account import Account, account, ample_time, session
from tests.support.killed_dispatcher import (
    Killed,
    kill,
    later,
    make_messages_visible,
)

__all__ = ["account", "session"]

REQUESTS = [("fraud", "a"), ("fraud", "b"), ("vision", "a")]


CALLS = [
    ("queues", "receive"),
    ("leases", "acquire"),
    ("requests", "add"),
    ("queues", "delete"),
    ("requests", "running"),
    ("tuning", "in_progress"),
    ("requests", "heads"),
    ("requests", "start"),
    ("tuning", "create"),
    ("leases", "release"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "method"), CALLS)
def test_a_dispatcher_killed_at_a_call_loses_and_doubles_nothing(
    account: Account, port: str, method: str, after: bool
) -> None:
    for team, request_id in REQUESTS:
        account.request(team, request_id)
    with pytest.raises(Killed):
        kill(account.dispatcher(), port, method, after).run(ample_time())
    make_messages_visible(account)

    later(account)
    later(account)

    assert len(account.tuning_jobs()) == len(REQUESTS)
    for team, request_id in REQUESTS:
        entry = account.dispatcher().requests.get(team, request_id)
        assert entry is not None
        assert entry.status is Status.COMPLETED
    assert account.waiting("fraud") == account.waiting("vision") == 0
    assert account.dead_letters("fraud") == account.dead_letters("vision") == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "method"), [("tuning", "describe"), ("requests", "finish")])
def test_a_dispatcher_killed_while_reconciling_is_made_good_by_the_next(
    account: Account, port: str, method: str, after: bool
) -> None:
    account.request("fraud", "a")
    account.cycle()
    with pytest.raises(Killed):
        kill(account.dispatcher(), port, method, after).run(ample_time())

    later(account)

    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert entry.status is Status.COMPLETED
    assert account.dispatcher().requests.running() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "method"), [("queues", "reject"), ("queues", "delete")])
def test_a_bad_message_survives_a_kill_too(
    account: Account, port: str, method: str, after: bool
) -> None:
    account.send("fraud", "not JSON")
    with pytest.raises(Killed):
        kill(account.dispatcher(), port, method, after).run(ample_time())
    make_messages_visible(account)

    later(account)

    assert account.waiting("fraud") == 0
    letters = account.dead_letters("fraud")
    assert {letter["body"] for letter in letters} == {"not JSON"}


def test_a_cycle_without_time_starts_nothing_and_loses_nothing(account: Account) -> None:
    account.request("fraud", "a")
    no_time = Deadline(remaining=lambda: 1.0, total=900.0)

    summary = account.dispatcher().run(no_time)

    assert (summary.received, summary.started) == (0, 0)
    assert account.cycle().started == 1
