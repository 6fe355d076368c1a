"""Transitions as DynamoDB's writes: what is beside the changed fields of an entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.aws.transitions import addition, expires_at, size_of, spending, writes_of
from hpo_dispatcher.contract.entry import Entry, Spent, Status
from hpo_dispatcher.contract.ledger.dynamodb_json import from_wire
from hpo_dispatcher.ports import Ending
from hpo_dispatcher.ports import transitions as rules
from hpo_dispatcher.ports.transitions import Transition
from tests.support.tuning_requests import request

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEEP = timedelta(days=30)
QUEUED = Entry(team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON)
RUNNING = replace(
    QUEUED, status=Status.IN_PROGRESS, tuning_job_name=QUEUED.job_name, started_at=NOON
)
ENDED = (Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.REJECTED)


def finish(team: str = "fraud", month: str = "2026-11", seconds: int | None = None) -> Transition:
    spent = None
    if seconds is not None:
        spent = Spent(team=team, month=month, instance_seconds=seconds)
    return rules.finish(
        Ending(
            team=team, request_id="a", was=(Status.IN_PROGRESS,), status=Status.COMPLETED,
            ended_at=NOON, tuning_job_name=RUNNING.job_name, spent=spent,
        )
    )  # fmt: skip


def update(transition: Transition | None, keep: timedelta | None = KEEP) -> dict[str, Any]:
    """Return the write of the entry itself."""
    assert transition is not None
    written: dict[str, Any] = writes_of(transition, NOON, keep)[0]["Update"]
    return written


@pytest.mark.parametrize("status", Status)
def test_only_requests_that_have_ended_expire_and_only_if_it_is_set(status: Status) -> None:
    at = int((NOON + KEEP).timestamp())  # seconds since 1970: DynamoDB's TTL
    assert expires_at(status, NOON, KEEP) == (at if status in ENDED else None)
    assert expires_at(status, NOON, None) is None


def test_an_ending_sets_when_its_entry_expires() -> None:
    written = update(finish())
    values = from_wire(written["ExpressionAttributeValues"])
    assert values[":expires_at"] == int((NOON + KEEP).timestamp())
    assert "#expires_at = :expires_at" in written["UpdateExpression"]


@pytest.mark.parametrize(
    ("transition", "keep"),
    [(rules.requeue(RUNNING, "full"), KEEP), (rules.stop(RUNNING), KEEP), (finish(), None)],
)
def test_a_new_state_that_does_not_expire_removes_an_earlier_expiry(
    transition: Transition, keep: timedelta | None
) -> None:
    _, _, removed = update(transition, keep)["UpdateExpression"].partition(" REMOVE ")
    assert "#expires_at" in removed.split(", ")


def test_a_change_within_a_state_leaves_the_expiry_as_it_is() -> None:
    for change in (rules.hold(QUEUED), rules.set_priority(QUEUED, 5)):
        assert "expires_at" not in update(change)["UpdateExpression"]


def test_each_change_says_when_it_was_written() -> None:
    for change in (rules.hold(QUEUED), rules.start(QUEUED, NOON), finish()):
        values = from_wire(update(change)["ExpressionAttributeValues"])
        assert values[":updated_at"] == "2026-11-23T12:00:00.000Z"


def test_each_placeholder_of_a_write_has_its_value_and_no_other_is_sent() -> None:
    """DynamoDB rejects a write with a placeholder that is not defined, or not used."""
    for change in (rules.start(QUEUED, NOON), rules.requeue(RUNNING, ""), finish()):
        for write in writes_of(change, NOON):
            for sent in write.values():
                said = f"{sent.get('UpdateExpression')} {sent.get('ConditionExpression')}"
                words = set(said.replace("(", " ").replace(")", " ").replace(",", " ").split())
                for kind, mark in (("Names", "#"), ("Values", ":")):
                    used = {word for word in words if word.startswith(mark)}
                    assert used == sent.get(f"ExpressionAttribute{kind}", {}).keys()


def test_what_a_team_used_is_one_write_per_month() -> None:
    """A transaction takes each row once, and no row is needed for a job that used nothing."""
    endings = [
        finish(seconds=5), finish(seconds=7), finish("vision", seconds=11),
        finish(month="2026-12", seconds=13), finish("ocr", seconds=0), finish(),
    ]  # fmt: skip
    written = [each["Update"] for each in spending(endings)]
    assert [
        (each["Key"]["id"]["S"], each["ExpressionAttributeValues"][":more"]["N"])
        for each in written
    ] == [("2026-11/fraud", "12"), ("2026-11/vision", "11"), ("2026-12/fraud", "13")]


def test_the_size_of_an_addition_is_that_of_its_request_in_bytes() -> None:
    text = request(hyperparameters={"text": "語"}).to_json()
    assert size_of(addition(replace(QUEUED, request_json=text), NOON)) == len(text.encode())
    assert size_of(addition(QUEUED, NOON)) == 0


@pytest.mark.parametrize("keep", [KEEP, None])
def test_an_addition_of_an_ended_request_says_when_it_expires(keep: timedelta | None) -> None:
    ended = replace(QUEUED, status=Status.REJECTED, ended_at=NOON)
    for entry in (ended, QUEUED):
        (put,) = addition(entry, NOON, keep)
        item = from_wire(put["Put"]["Item"])
        assert item.get("expires_at") == expires_at(entry.status, NOON, keep)
