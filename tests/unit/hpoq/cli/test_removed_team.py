"""Queued requests of a team that is no longer in the settings are listed, and say why they wait."""

from __future__ import annotations

import json

import pytest

from hpoq.doctor.checks import storage
from hpoq.doctor.examined import Examined
from tests.support.command_line import Run
from tests.support.dispatcher_account import Account

LEFT = "team vision is not in the settings, but its queues have 1 message and 0 rejected messages"


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


def leave_a_message(account: Account) -> None:
    url = account.sqs.get_queue_url(QueueName="hpoq-vision-requests")["QueueUrl"]
    account.sqs.send_message(QueueUrl=url, MessageBody="{}")


@pytest.mark.usefixtures("removed")
@pytest.mark.parametrize("command", [["capacity"], ["list", "-A"]])
def test_messages_in_its_queues_are_counted(
    hpoq: Run, account: Account, command: list[str]
) -> None:
    assert LEFT not in hpoq(*command)[2]
    leave_a_message(account)
    assert LEFT in " ".join(hpoq(*command)[2].split())


@pytest.mark.usefixtures("hpoq", "removed")
def test_the_doctor_warns_of_messages_in_its_queues(account: Account) -> None:
    examined = Examined(deployment="hpoq", session=account.session)
    (found,) = storage.removed_teams(examined)
    assert (found.verdict, str(found)) == ("ok", "empty queues of vision remain")
    leave_a_message(account)
    (found,) = storage.removed_teams(examined)
    assert (found.verdict, found.text.startswith(LEFT)) == ("warning", True)
