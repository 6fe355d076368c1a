"""Queued requests of a team that is no longer in the settings are listed, and say why they wait."""

from __future__ import annotations

import json

import pytest

from tests.support.command_line import Run
from tests.support.dispatcher_account import Account


@pytest.fixture
def removed(account: Account) -> None:
    """A deployment without the team `vision`, of which one request is queued."""
    limits = {"instances": {"ml.m5.large": 1}}  # the request needs two
    account.configure(limits=limits)
    account.request("vision", "left")
    account.cycle()
    account.configure(teams={"fraud": {}}, limits=limits)
    account.cycle()


@pytest.mark.usefixtures("removed")
def test_its_requests_are_listed_with_the_reason_and_without_a_position(hpoq: Run) -> None:
    _, out, _ = hpoq("list", "--all-teams", "-s", "Queued", "--json")
    (listed,) = json.loads(out)
    assert (listed["team"], listed["request_id"]) == ("vision", "left")
    assert listed["waiting"]["position"] is None
    assert listed["waiting"]["reason"].startswith("team vision is not in the settings")
    for command in (
        ["list", "-A"],
        ["status", "left", "-t", "vision"],
        ["why", "left", "-t", "vision"],
    ):
        _, out, _ = hpoq(*command)
        text = " ".join(out.split())
        assert "team vision is not in the settings, so it does not start" in text
        assert "about 1 of 1" not in text


@pytest.mark.usefixtures("removed")
def test_capacity_counts_its_queued_requests(hpoq: Run) -> None:
    assert "1 queued request: team vision is not in the settings" in hpoq("capacity")[2]
