"""Actions say which requests they will not change, and cancel several with one command."""

from __future__ import annotations

import pytest

from tests.support.command_line import Run
from tests.support.dispatcher_account import Account


@pytest.mark.parametrize(
    "command", [["cancel", "x"], ["priority", "x", "5"], ["hold", "x"], ["release", "x"]]
)
def test_an_unknown_id_is_reported_when_sent(hpoq: Run, command: list[str]) -> None:
    status, _, err = hpoq(*command)
    assert status == 0
    assert err.splitlines()[0] == (
        "x is not in the ledger of team fraud. Check the id, unless the request is still on its way"
    )


def test_an_ended_request_is_said_not_to_change(hpoq: Run, account: Account) -> None:
    account.send("fraud", {"action": "cancel", "request_id": "x"})
    account.cycle()
    assert "x is Cancelled already; nothing changes" in hpoq("cancel", "x")[2]


def test_cancel_reads_ids_from_stdin(hpoq: Run, account: Account) -> None:
    status, _, err = hpoq("cancel", "-", stdin="a\nb\n")
    assert status == 0
    assert err.splitlines()[-1] == "sent: cancel 2 requests: a, b"
    assert account.waiting("fraud") == 2


def test_cancel_all_asks_and_says_how_many(hpoq: Run, account: Account) -> None:
    account.request("fraud", "a")
    account.request("fraud", "b")
    account.cycle()
    status, _, err = hpoq("cancel", "--all")
    assert (status, err) == (
        1,
        "hpoq: Cancel 2 requests of team fraud? Confirm with --yes; nothing was changed\n",
    )
    assert account.waiting("fraud") == 0
    assert "sent: cancel 2 requests: a, b" in hpoq("cancel", "--all", "--yes")[2]
    assert account.waiting("fraud") == 2


def test_cancel_all_of_nothing_says_so(hpoq: Run) -> None:
    status, _, err = hpoq("cancel", "--all")
    assert (status, err) == (
        0,
        "team fraud has no request that is queued or running; nothing was sent\n",
    )


def test_one_invalid_id_keeps_all_from_being_sent(hpoq: Run, account: Account) -> None:
    status, _, err = hpoq("cancel", "good", "not good")
    assert status == 1
    assert "request_id" in err
    assert account.waiting("fraud") == 0


def test_cancel_of_no_id_is_a_usage_error(hpoq: Run) -> None:
    assert hpoq("cancel")[0] == 2
    assert hpoq("cancel", "x", "--all")[0] == 2
