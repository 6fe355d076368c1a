"""Rows of other versions of hpoq, and damaged rows: docs/decisions/0017."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import (
    BlockedEntry,
    EarlierJob,
    Entry,
    RunningEntry,
    Status,
)
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.ledger.entry_item import entry_from, entry_item, head_from
from hpo_dispatcher.contract.ledger.index_rows import (
    blocked_from,
    blocked_item,
    running_from,
    running_item,
    spent_from,
    spent_key,
)
from hpo_dispatcher.contract.ledger.owed_rows import owed_from, owed_item, owed_key
from hpo_dispatcher.contract.workflows.answers import OwedAnswer
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
AT = "2026-11-23T12:00:00.000Z"
ENTRY = Entry(team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON)
RUNNING = RunningEntry(
    tuning_job_name="j", team="fraud", request_id="a", status=Status.IN_PROGRESS, instances={},
    started_at=NOON,
)  # fmt: skip
BLOCKED = BlockedEntry(team="fraud", request_id="a", after=("b",), warm_start_from=())
STEP = Callback(kind=CallbackKind.STEP_FUNCTIONS, token="t")
OWED = OwedAnswer(callback=STEP, team="fraud", request_id="a")
EARLIER = EarlierJob(
    tuning_job_name="j", counters={}, interrupted=0, seconds=1, instance_seconds=1, found=False
)
PREEMPTED_FOR = ("vision", "v")
READERS = [entry_from, head_from, running_from, blocked_from, spent_from, owed_from]


@pytest.mark.parametrize(
    ("read", "row", "value"),
    [
        (
            entry_from,
            {"team": "fraud", "id": "a", "status": "Queued", "accepted_at": AT},
            ENTRY,
        ),
        (
            running_from,
            {
                "team": "#active", "id": "j", "of_team": "fraud", "of_id": "a",
                "status": "InProgress", "started_at": AT,
            },
            RUNNING,
        ),
        (
            blocked_from,
            {
                "team": "#blocked", "id": "fraud/a", "of_team": "fraud", "of_id": "a",
                "after": ["b"], "warm_start_from": [],
            },
            BLOCKED,
        ),
        (
            spent_from,
            {"team": "#spent", "id": "2026-11/fraud", "instance_seconds": 5},
            ("fraud", 5),
        ),
        (
            owed_from,
            {
                "team": "#owed", "id": STEP.digest, "of_team": "fraud", "of_id": "a",
                "kind": "StepFunctions", "token": "t",
            },
            OWED,
        ),
    ],
)  # fmt: skip
def test_a_row_without_later_attributes_is_read_with_their_defaults(
    read: Callable[[Any], Any], row: dict[str, Any], value: object
) -> None:
    """New attributes do not increase the version, so rows of any version may lack them."""
    assert read(row) == value
    assert read(row | {"version": 3}) == value


@pytest.mark.parametrize("read", READERS)
def test_a_row_of_a_later_version_is_named_with_its_fix(read: Callable[[Any], Any]) -> None:
    with pytest.raises(Unreadable) as raised:
        read({"team": "fraud", "id": "a", "version": 4})
    assert str(raised.value) == (
        "ledger row fraud/a: has version 4, and this hpoq reads up to 3. "
        "Use the hpoq that wrote it or a later one"
    )
    assert raised.value.field == "ledger row fraud/a"


# Writers, readers, and what is damaged: a value that is missing, or of another type or form.
DAMAGED = [
    *(
        (entry_item(ENTRY, NOON), read, damage)
        for read in (entry_from, head_from)
        for damage in (
            {"version": "one"},
            {"status": "Unknown"},
            {"accepted_at": ""},
            {"priority": "high"},
            {"best": {"metric": "auc"}},
            {"instances": ["ml.m5.large"]},
            {"earlier": 1},
            {"stopped_for": 5},
        )
    ),
    (running_item(RUNNING), running_from, {"instances": "many"}),
    (running_item(RUNNING), running_from, {"started_at": None}),
    (blocked_item(BLOCKED), blocked_from, {"after": None}),
    (owed_item(OWED), owed_from, {"kind": "Email"}),
    (spent_key("2026-11", "fraud"), spent_from, {"instance_seconds": "many"}),
    (spent_key("2026-11", "fraud"), spent_from, {}),
]


@pytest.mark.parametrize(("row", "read", "damage"), DAMAGED)
def test_a_damaged_row_is_named_with_its_fix(
    row: dict[str, Any], read: Callable[[Any], Any], damage: dict[str, Any]
) -> None:
    with pytest.raises(Unreadable, match=r"cannot be read .*\. Restore it, see") as raised:
        read(row | damage)
    assert raised.value.field == f"ledger row {row['team']}/{row['id']}"


def test_a_damaged_request_is_an_unreadable_row_only_when_it_is_parsed() -> None:
    item = entry_item(ENTRY, NOON) | {"request": "{"}
    assert head_from(item).request_json == "{"
    with pytest.raises(Unreadable, match="ledger row fraud/a"):
        entry_from(item)


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({}, 1),
        ({"preempted_for": PREEMPTED_FOR}, 2),
        ({"earlier": (EARLIER,)}, 2),
        ({"targets": ("research",)}, 3),
        ({"targets": ("home", "research")}, 3),
        ({"target": "research"}, 3),
        ({"target": "research", "preempted_for": PREEMPTED_FOR}, 3),
    ],
)
def test_an_entry_has_the_first_version_that_can_read_it(
    fields: dict[str, Any], version: int
) -> None:
    assert entry_item(replace(ENTRY, **fields), NOON)["version"] == version


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({}, 1),
        ({"preempted_for": PREEMPTED_FOR}, 2),
        ({"resumed": True}, 2),
        ({"target": "research"}, 3),
        ({"target": "research", "resumed": True}, 3),
    ],
)
def test_a_running_request_has_the_first_version_that_can_read_it(
    fields: dict[str, Any], version: int
) -> None:
    assert running_item(replace(RUNNING, **fields))["version"] == version


def test_every_row_has_a_version() -> None:
    assert blocked_item(BLOCKED)["version"] == owed_item(OWED)["version"] == 1


def test_the_rows_beside_the_entries_are_in_partitions_that_no_team_can_have() -> None:
    """The name of a team begins with a letter. A client's policy names the partitions."""
    keys = [
        {name: row[name] for name in ("team", "id")}
        for row in (running_item(RUNNING), blocked_item(BLOCKED), owed_item(OWED))
    ]
    assert [*keys, spent_key("2026-11", "fraud")] == [
        {"team": "#active", "id": "j"},
        {"team": "#blocked", "id": "fraud/a"},
        {"team": "#owed", "id": STEP.digest},
        {"team": "#spent", "id": "2026-11/fraud"},
    ]
    assert owed_key(STEP) == keys[2]


def test_a_row_has_no_attributes_for_what_its_request_does_not_have() -> None:
    """DynamoDB's index of queues contains the rows that have its attributes."""
    waiting = entry_item(ENTRY, NOON)
    assert waiting["line"] == "fraud"
    assert waiting["line_position"] == ENTRY.queue_sort_key
    assert waiting["updated_at"] == AT
    assert None not in waiting.values()
    ended = entry_item(replace(ENTRY, status=Status.CANCELLED, ended_at=NOON), NOON)
    assert waiting.keys() - ended.keys() == {"line", "line_position"}
    assert ended.keys() - waiting.keys() == {"ended_at"}
    absent = {"request", "digest", "tuning_job_name", "started_at", "best", "blocked", "held"}
    absent |= {"request_id", "earlier", "stopped_for", "stopped_before", "targets", "target"}
    assert absent.isdisjoint(ended)
    assert {"stopped_for", "stopped_before", "target"}.isdisjoint(running_item(RUNNING))
