"""Which tuning job counts for a request that an old ledger started on a second target."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.repair.decision import TaggedJob
from hpoq.repair.targets import chosen

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def job(target: str, status: Status = Status.IN_PROGRESS, **fields: Any) -> TaggedJob:
    default: dict[str, Any] = {
        "name": "fraud-a-ab12cd34", "team": "fraud", "request_id": "a", "created_at": NOON,
        "ended_at": None, "failure_reason": "", "counters": {}, "best": None, "instances": {},
        "max_training_jobs": 1, "max_parallel": 1,
    }  # fmt: skip
    return TaggedJob(target=target, status=status, **(default | fields))


def entry(status: Status, target: str, name: str = "fraud-a-ab12cd34") -> Entry:
    return Entry(
        team="fraud", request_id="a", status=status, accepted_at=NOON,
        tuning_job_name=name, target=target, targets=("home", "west"),
    )  # fmt: skip


HOME, WEST = job("home"), job("west")


@pytest.mark.parametrize(("target", "expected"), [("home", HOME), ("west", WEST)])
def test_the_one_that_the_ledger_promised(target: str, expected: TaggedJob) -> None:
    assert chosen([HOME, WEST], entry(Status.IN_PROGRESS, target)) is expected


@pytest.mark.parametrize("was", [None, entry(Status.QUEUED, "home", "")])
def test_otherwise_one_that_runs_and_then_the_newest(was: Entry | None) -> None:
    ended = job("home", Status.COMPLETED, created_at=NOON + timedelta(hours=1))
    assert chosen([ended, WEST], was) is WEST
    later = job("home", created_at=NOON + timedelta(hours=1))
    assert chosen([later, WEST], was) is later


def test_none_for_a_request_that_ended_elsewhere() -> None:
    assert chosen([WEST], entry(Status.COMPLETED, "home")) is None
    assert chosen([HOME, WEST], entry(Status.COMPLETED, "home")) is HOME
