"""What is written to the ledger's rows is read from them, every field."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import (
    BestTrainingJob,
    BlockedEntry,
    EarlierJob,
    Entry,
    RunningEntry,
    Status,
)
from hpo_dispatcher.contract.ledger.dynamodb_json import from_wire, to_wire
from hpo_dispatcher.contract.ledger.entry_item import entry_from, entry_item
from hpo_dispatcher.contract.ledger.index_rows import (
    blocked_from,
    blocked_item,
    running_from,
    running_item,
)
from hpo_dispatcher.contract.ledger.owed_rows import owed_from, owed_item
from hpo_dispatcher.contract.workflows.answers import OwedAnswer
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind
from tests.support.tuning_requests import request

NOON = datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC)
EARLIER = EarlierJob(
    tuning_job_name="fraud-a-1", counters={"Completed": 3, "Stopped": 1}, interrupted=2,
    seconds=60, instance_seconds=120, found=True,
)  # fmt: skip
ENTRY = Entry(
    team="fraud", request_id="a", status=Status.STOPPING, accepted_at=NOON,
    request_json=request().model_dump_json(), template="credit", priority=-3,
    instances={"ml.m5.large": 2}, max_training_jobs=9, max_parallel=2,
    most_instance_seconds=7200, expected_seconds=600, priority_aging_minutes=30,
    tuning_job_name="fraud-a-2", started_at=NOON.replace(hour=13), ended_at=NOON.replace(hour=14),
    reason="preempted", counters={"Completed": 4},
    best=BestTrainingJob(
        name="fraud-a-2-001", objective=0.25, metric="auc", hyperparameters={"lr": "0.1"}
    ),
    blocked=True, on_hold=True, resume_blocker="it is a grid", earlier=(EARLIER,),
    preempted_for=("vision", "b"), already_stopped=1, targets=("research", "home"),
    target="research",
)  # fmt: skip
RUNNING = RunningEntry(
    tuning_job_name="fraud-a-2", team="fraud", request_id="a", status=Status.STOPPING,
    instances={"ml.m5.large": 2}, started_at=NOON, template="credit", rounds=4,
    most_instance_seconds=7200, expected_seconds=600, priority=-3, resume_blocker="it is a grid",
    resumed=True, preempted_for=("vision", "b"), already_stopped=1, target="research",
)  # fmt: skip
BLOCKED = BlockedEntry(
    team="fraud", request_id="a", after=("b", "c"), warm_start_from=("d",)
)  # fmt: skip
OWED = OwedAnswer(
    callback=Callback(kind=CallbackKind.PIPELINE, token="t" * 10, pipeline="Credit"),
    team="fraud", request_id="a", refusal="no template", attempts=3, retry_at=NOON,
)  # fmt: skip


def stored(item: Any) -> Any:
    """Return an item as DynamoDB returns it."""
    return from_wire(to_wire(item))


def test_every_field_of_these_values_differs_from_its_default() -> None:
    """Otherwise a field that is never written would be read right."""
    plain = {
        Entry: Entry(team="", request_id="", status=Status.QUEUED, accepted_at=NOON),
        RunningEntry: RunningEntry(
            tuning_job_name="", team="", request_id="", status=Status.QUEUED, instances={},
            started_at=NOON.replace(year=2000),
        ),
    }  # fmt: skip
    for value in (ENTRY, RUNNING):
        default = plain[type(value)]  # type: ignore[index]
        same = {
            each.name
            for each in fields(value)
            if getattr(value, each.name) == getattr(default, each.name)
        }
        assert same <= {"accepted_at"}


def test_an_entry_is_read_as_it_was_written() -> None:
    assert entry_from(stored(entry_item(ENTRY, NOON))) == ENTRY


@pytest.mark.parametrize(
    "running", [RUNNING, replace(RUNNING, preempted_for=None, already_stopped=0)]
)
def test_a_running_request_is_read_as_it_was_written(running: RunningEntry) -> None:
    assert running_from(stored(running_item(running))) == running


def test_what_a_request_waits_for_is_read_as_it_was_written() -> None:
    assert blocked_from(stored(blocked_item(BLOCKED))) == BLOCKED


@pytest.mark.parametrize("owed", [OWED, replace(OWED, retry_at=None)])
def test_an_answer_that_is_owed_is_read_as_it_was_written(owed: OwedAnswer) -> None:
    assert owed_from(stored(owed_item(owed))) == owed


def test_a_row_of_the_first_version_has_no_version() -> None:
    item = {name: value for name, value in entry_item(ENTRY, NOON).items() if name != "version"}
    assert entry_from(stored(item)) == ENTRY
