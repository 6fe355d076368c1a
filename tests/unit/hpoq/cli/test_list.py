"""`hpoq list`: the teams that its user may read, and what to do if there is nothing to show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.client import Client
from hpoq.errors import NotPermitted
from tests.support.command_line import Run
from tests.support.dispatcher_account import Account


@pytest.fixture
def only_fraud(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with the policy of one team."""
    entries = Client.entries

    def permitted(self: Client, team: str, statuses: Iterable[Status] = ()) -> Iterator[Entry]:
        if team != "fraud":
            raise NotPermitted(f"ledger of hpoq: not authorized to perform: Query on {team}")
        return entries(self, team, statuses)

    monkeypatch.setattr("hpoq.client.Client.entries", permitted)


@pytest.mark.usefixtures("only_fraud")
def test_all_teams_are_those_that_the_user_may_read(hpoq: Run, account: Account) -> None:
    account.request("fraud", "mine")
    account.request("vision", "theirs")
    account.cycle()
    status, out, err = hpoq("list", "-A", "--json")
    assert status == 0
    assert [each["request_id"] for each in json.loads(out)] == ["mine"]
    assert "left out, because you may not read their requests: vision" in err
    status, _, err = hpoq("list", "--team", "vision")
    assert status == 1
    assert "not authorized" in err


def test_nothing_to_list_says_what_to_do_next(hpoq: Run, account: Account) -> None:
    assert hpoq("list")[2] == ("team fraud: no requests yet. Send one with `hpoq submit FILE`\n")
    account.request("fraud", "mine")
    account.cycle()
    assert "no request with this status" in hpoq("list", "-s", "Failed")[2]
    assert "Send a request with `hpoq submit FILE`" in hpoq("watch", "-t", "vision")[2]
