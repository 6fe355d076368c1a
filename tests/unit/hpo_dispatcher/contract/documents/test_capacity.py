"""The capacity document: what is written is read, also when the version before wrote it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, WaitKind
from hpo_dispatcher.scheduling.history.memory import memory_json, timers_from
from hpo_dispatcher.scheduling.snapshot import ReservationTimer

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
# As the dispatcher wrote it before documents were typed.
BEFORE: dict[str, Any] = {
    "at": "2026-11-23T12:00:00+00:00",
    "tuning_jobs": {"limit": 1, "in_use": 1, "by_team": {"fraud": 1}},
    "instances": {"ml.m5.large": {"limit": None, "in_use": 5, "by_team": {"fraud": 5}}},
    "quotas": {"ml.m5.xlarge": 20},
    "waiting": [
        {
            "team": "fraud", "request_id": "b", "position": 1,
            "reason": "tuning jobs 1/1 in use, 1 needed; held by: fraud 1", "priority": 3,
            "accepted_at": "2026-11-23T11:59:00.500Z", "instances": {"ml.m5.large": 5},
            "template": "smoke", "rounds": 4,
        },
    ],
    "lines": {"fraud": {"queued": 1, "complete": True, "marks": [["0997#x", 1]]}},
    "held_teams": ["vision"],
    "running": [
        {"team": "fraud", "instances": {"ml.m5.large": 5}, "template": "smoke", "rounds": 4,
         "started_at": "2026-11-23T11:00:00.000Z"},
        {"team": None, "instances": {}},
    ],
    "run_times": [{"team": "fraud", "template": "smoke", "seconds_per_round": [10.0]}],
    "fronts": [
        {"team": "fraud", "request_id": "b", "since": "2026-11-23T11:59:00.000Z",
         "passed_at": "2026-11-23T12:00:00.000Z"},
    ],
    "budgets": {
        "fraud": {"month": "2026-11", "instance_hours": 9.0, "spent": 1.5, "set_aside": 5.0}
    },
}  # fmt: skip


def test_a_document_of_the_version_before_is_readable() -> None:
    document = CapacityDocument.parse(json.dumps(BEFORE))
    assert document is not None
    (waiting,) = document.waiting
    assert (waiting.key, waiting.position, waiting.priority) == (("fraud", "b"), 1, 3)
    assert waiting.wait_reason.text.startswith("tuning jobs 1/1 in use")
    assert waiting.reason_kind is WaitKind.UNKNOWN
    assert document.queues["fraud"].marks == (("0997#x", 1),)
    assert document.teams_on_hold == ("vision",)
    assert [each.team for each in document.running] == ["fraud", None]
    assert document.budgets["fraud"].left == 2.5


def test_a_published_document_is_read_as_it_was() -> None:
    document = CapacityDocument.parse(json.dumps(BEFORE))
    assert document is not None
    assert CapacityDocument.parse(document.to_json()) == document
    assert json.loads(document.to_json())["at"] == "2026-11-23T12:00:00.000Z"


def test_before_the_first_cycle_there_is_no_document() -> None:
    assert CapacityDocument.parse(None) is None


def test_members_of_a_later_version_are_ignored() -> None:
    assert CapacityDocument.parse(json.dumps(BEFORE | {"new": 1})) is not None


def test_the_timers_of_the_version_before_are_picked_up_once() -> None:
    key = "fraud", "b"
    timer = ReservationTimer(since=datetime(2026, 11, 23, 11, 59, tzinfo=UTC), passed_at=NOON)
    timers = timers_from(None, json.dumps(BEFORE))
    assert timers == {key: timer}
    assert timers_from(memory_json(timers), None) == timers
    assert timers_from(memory_json({}), json.dumps(BEFORE)) == {}
    assert timers_from(None, None) == {}
