from __future__ import annotations

from unittest.mock import patch

from hpo_dispatcher.contract.entry import Status
from tests.support.command_line import Run
from tests.support.dispatcher_account import Account


def test_watch_in_a_pipe_gives_each_change_one_line(hpoq: Run, account: Account) -> None:
    """A reason is of others, and may have lines that look like those of other requests."""
    account.request("fraud", "a")
    account.cycle()
    account.end("fraud", "a", Status.FAILED, reason="no data\nfraud/b Completed", counters={})
    _, _, err = hpoq("watch", "a")
    assert "fraud/a Failed no data fraud/b Completed" in err.splitlines()


def test_watch_of_a_cancelled_request_is_status_3(hpoq: Run, account: Account) -> None:
    account.send("fraud", {"action": "cancel", "request_id": "x"})
    account.cycle()
    status, _, _ = hpoq("watch", "-", stdin="x\n")
    assert status == 3


def test_watch_says_which_requests_are_not_in_the_ledger_yet(hpoq: Run, account: Account) -> None:
    account.request("fraud", "late")

    def a_cycle_runs(_: float) -> None:
        account.send("fraud", {"action": "cancel", "request_id": "late"})
        account.cycle()

    with patch("hpoq.cli.watch.time.sleep", a_cycle_runs):
        status, _, err = hpoq("watch", "late")
    assert "waiting for late, not in the ledger of team fraud" in err
    assert "fraud/late Cancelled" in err
    assert status == 3


def test_watch_of_a_team_that_does_not_exist_ends_at_once(hpoq: Run) -> None:
    status, _, err = hpoq("watch", "--team", "nope", "x")
    assert status == 1
    assert err == "hpoq: 'hpoq' has no team 'nope'. Teams: fraud, vision\n"


def test_watch_of_nothing_says_so(hpoq: Run) -> None:
    assert (
        hpoq("watch")[2] == "nothing is queued or running. Send a request with `hpoq submit FILE`\n"
    )
