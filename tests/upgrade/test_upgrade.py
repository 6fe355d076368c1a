"""What an earlier version left in the ledger and in the queues is finished by this one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.ledger.dynamodb_json import from_wire
from hpo_dispatcher.contract.ledger.entry_item import entry_from
from hpo_dispatcher.contract.ledger.rows import VERSION
from hpo_dispatcher.cycle.lease import CycleIncomplete
from tests.support.dispatcher_account import Account, account, session
from tests.support.killed_dispatcher import later
from tests.support.ledger_record import MESSAGES, items, leave_behind

__all__ = ["account", "session"]

FIXTURES = Path(__file__).parents[1] / "fixtures"
NEXT = VERSION + 1
FINISHED_BY_TODAY = {
    "fraud/waiting": Status.COMPLETED,
    "fraud/held": Status.COMPLETED,
    "fraud/blocked": Status.COMPLETED,
    "fraud/full": Status.COMPLETED,
    "fraud/unwanted": Status.CANCELLED,
    "fraud/cancelled": Status.CANCELLED,
    "fraud/cancelled-early": Status.CANCELLED,
    "fraud/bad": Status.REJECTED,
    "vision/done": Status.COMPLETED,
    "vision/running": Status.COMPLETED,
    "vision/promised": Status.COMPLETED,
    "vision/stopping": Status.COMPLETED,
    "vision/warm": Status.COMPLETED,
}
SINCE_VERSION_2 = {
    "vision/makes-room": Status.COMPLETED,  # before anybody stopped it
    "vision/goes-on": Status.COMPLETED,
}
SINCE_VERSION_3 = {
    "vision/waits-anywhere": Status.COMPLETED,  # on the one of its targets that still exists
}


def finished(version: int) -> dict[str, Status]:
    """What becomes of everything that a version left."""
    since_2 = SINCE_VERSION_2 if version > 1 else {}
    return FINISHED_BY_TODAY | since_2 | (SINCE_VERSION_3 if version > 2 else {})


def fixture(version: int) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((FIXTURES / f"ledger-v{version}.json").read_text())
    return stored


def restore(account: Account, stored: dict[str, Any]) -> None:
    for item in stored["items"]:
        if item["id"]["S"] != "quotas":  # of old, and moto has none to read anew
            account.dynamodb.put_item(TableName="hpoq-ledger", Item=item)
    requests = account.dispatcher().requests
    builder = account.dispatcher().builder
    for entry in map(entry_from, map(from_wire, of_teams(stored))):
        if entry.tuning_job_name in stored["tuning_jobs"] or entry.status is Status.COMPLETED:
            assert entry.request
            job = builder.api_request(entry.team, entry.request)
            account.sagemaker.create_hyper_parameter_tuning_job(**job)
    for message in stored["messages"]:
        account.send(message["team"], message["body"])
    assert requests.running(), "the rows of capacity are read, too"


def of_teams(stored: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in stored["items"] if not item["team"]["S"].startswith("#")]


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_a_ledger_and_messages_of_any_version_are_finished_by_this_one(
    account: Account, version: int
) -> None:
    stored = fixture(version)
    restore(account, stored)

    for _ in range(5):  # parents end, children start, children end
        later(account)

    requests = account.dispatcher().requests
    expected = finished(version)
    found = {"/".join(key): entry for key, entry in requests.get_all(keys(expected)).items()}
    assert {name: entry.status for name, entry in found.items()} == expected
    assert requests.running() == []
    assert requests.blocked() == []
    assert found["fraud/waiting"].priority == 7, "the message of old was understood"
    completed = sum(status is Status.COMPLETED for status in expected.values())
    assert len(account.tuning_jobs()) == completed + 1, "one each, and the one without an id"
    assert account.waiting("fraud") == account.waiting("vision") == 0
    assert account.dead_letters("fraud") == account.dead_letters("vision") == []


def keys(of: Iterable[str]) -> list[tuple[str, str]]:
    return [(team, id_) for team, _, id_ in (name.partition("/") for name in of)]


def test_what_is_written_today_still_has_the_shape_of_its_version(account: Account) -> None:
    """A row may gain attributes; to lose or retype one, raise VERSION and record a fixture."""
    stored = fixture(VERSION)
    leave_behind(account)

    now = {(item["team"]["S"], item["id"]["S"]): shape(item) for item in items(account)}

    for item in stored["items"]:
        key = item["team"]["S"], item["id"]["S"]
        assert shape(item) <= now[key], key


def shape(item: dict[str, Any]) -> set[tuple[str, str]]:
    return {(name, kind) for name, value in item.items() for kind in value}


def test_the_recorded_messages_are_of_every_kind() -> None:
    recorded = [json.loads(message["body"]) for message in fixture(VERSION)["messages"]]
    assert recorded == [body for _, body in MESSAGES]


# An older version meets what a later one wrote: a deployment that was rolled back.


def written_by_the_next(account: Account, team: str, request_id: str) -> dict[str, Any]:
    """Turn an entry into one of a version that nobody knows yet."""
    key = {"team": {"S": team}, "id": {"S": request_id}}
    row = account.dynamodb.get_item(TableName="hpoq-ledger", Key=key)["Item"]
    row |= {"version": {"N": str(NEXT)}, "request": {"S": "in words not yet invented"}}
    account.dynamodb.put_item(TableName="hpoq-ledger", Item=row)
    return row


@pytest.fixture
def mixed(account: Account) -> dict[str, Any]:
    """A request of the next version heads the line; one of ours stands behind it."""
    account.send("fraud", {"action": "hold"})
    account.request("fraud", "later")
    account.request("fraud", "ours")
    account.cycle()
    row = written_by_the_next(account, "fraud", "later")
    account.send("fraud", {"action": "release"})
    return row


def stored_row(account: Account, like: dict[str, Any]) -> dict[str, Any]:
    key = {name: like[name] for name in ("team", "id")}
    return account.dynamodb.get_item(TableName="hpoq-ledger", Key=key)["Item"]


def test_a_row_of_a_later_version_is_left_alone_and_named_and_others_go_on(
    account: Account, mixed: dict[str, Any]
) -> None:
    line = f"ledger row fraud/later: has version {NEXT}, and this hpoq reads up to {VERSION}"
    with pytest.raises(CycleIncomplete, match=line) as told:
        account.cycle()

    assert "\n" not in str(told.value)
    assert "Use the hpoq that wrote it" in str(told.value)
    assert stored_row(account, mixed) == mixed
    assert [name for name in account.tuning_jobs() if "later" in name] == []
    assert [name for name in account.tuning_jobs() if "ours" in name] != []


@pytest.mark.parametrize(
    "message",
    [
        {"action": "cancel", "request_id": "later"},
        {"action": "priority", "request_id": "later", "priority": 1},
        {"action": "hold", "request_id": "later"},
        {"action": "release", "request_id": "later"},
    ],
    ids=lambda message: message["action"],
)
def test_an_action_on_a_row_of_a_later_version_comes_back_with_the_reason(
    account: Account, mixed: dict[str, Any], message: dict[str, Any]
) -> None:
    account.send("fraud", message)
    with suppress(CycleIncomplete):
        account.cycle()

    assert stored_row(account, mixed) == mixed
    (letter,) = account.dead_letters("fraud")
    assert letter["hpoq-error"] == "Unreadable"
    assert f"version {NEXT}" in letter["hpoq-problem"]


def test_capacity_held_under_a_later_version_is_counted_and_not_released(account: Account) -> None:
    account.configure(limits={"tuning_jobs": 1})
    account.request("fraud", "later")
    account.cycle()
    entry = written_by_the_next(account, "fraud", "later")
    held = written_by_the_next(account, "#active", entry["tuning_job_name"]["S"])
    account.request("fraud", "ours")

    with pytest.raises(CycleIncomplete, match="ledger row #active/"):
        account.cycle()

    assert stored_row(account, entry) == entry
    assert stored_row(account, held) == held


def test_a_broken_row_is_left_alone_and_named_and_others_go_on(account: Account) -> None:
    account.send("fraud", {"action": "hold"})
    account.request("fraud", "broken")
    account.request("fraud", "ours")
    account.cycle()
    key = {"team": {"S": "fraud"}, "id": {"S": "broken"}}
    row = account.dynamodb.get_item(TableName="hpoq-ledger", Key=key)["Item"]
    row["request"] = {"S": '{"hyperparameter_ranges": {}}'}
    account.dynamodb.put_item(TableName="hpoq-ledger", Item=row)
    account.send("fraud", {"action": "release"})

    with pytest.raises(CycleIncomplete, match=r"ledger row fraud/broken: cannot be read"):
        account.cycle()

    assert stored_row(account, row) == row
    assert len(account.tuning_jobs()) == 1


def test_a_message_of_a_later_version_is_dead_lettered_whole_with_the_reason(
    account: Account,
) -> None:
    body = json.dumps({"version": 2, "hyperparameter_ranges": {"lr": "any"}, "new": True})
    account.send("fraud", body)
    account.cycle()

    (letter,) = account.dead_letters("fraud")
    assert letter["body"] == body
    assert letter["hpoq-field"] == "version"


def test_a_client_of_old_says_so_in_a_line() -> None:
    item = {"team": "fraud", "id": "a", "version": NEXT}
    with pytest.raises(Unreadable, match=r"fraud/a: has version"):
        entry_from(item)
