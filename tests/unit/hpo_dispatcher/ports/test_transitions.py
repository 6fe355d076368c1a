"""Which stored entries a transition may replace, and what becomes of their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, RunningEntry, Status
from hpo_dispatcher.ports import Ending, Preemption
from hpo_dispatcher.ports import transitions as rules
from hpo_dispatcher.ports.transitions import RowChange, Transition

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUEUED = Entry(team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON)
JOB = QUEUED.job_name
RUNNING = replace(
    QUEUED, status=Status.IN_PROGRESS, tuning_job_name=JOB, started_at=NOON
)  # fmt: skip
STOPPING = replace(RUNNING, status=Status.STOPPING)
PREEMPTED = replace(STOPPING, preempted_for=("vision", "b"))
RESUMED = replace(RUNNING, tuning_job_name=f"{JOB}-2")  # meanwhile, by another dispatcher
ENDED = replace(RUNNING, status=Status.COMPLETED, ended_at=NOON)
ALL = {
    "queued": QUEUED, "on hold": replace(QUEUED, on_hold=True),
    "blocked": replace(QUEUED, blocked=True), "running": RUNNING, "resumed": RESUMED,
    "stopping": STOPPING, "preempted": PREEMPTED, "ended": ENDED,
    "preempted again": replace(PREEMPTED, tuning_job_name=f"{JOB}-2"),
}  # fmt: skip


def preempt(_: Entry) -> Transition:
    return rules.preempt(
        Preemption(
            team="fraud", request_id="a", tuning_job_name=JOB,
            preempted_for=("vision", "b"), already_stopped=0,
        )
    )  # fmt: skip


def finish(**fields: Any) -> Callable[[Entry], Transition]:
    ending = Ending(
        team="fraud", request_id="a", was=(Status.IN_PROGRESS, Status.STOPPING),
        status=Status.COMPLETED, ended_at=NOON, **fields,
    )  # fmt: skip
    return lambda _: rules.finish(ending)


@pytest.mark.parametrize(
    ("change", "of", "allowed"),
    [
        (lambda entry: rules.start(entry, NOON), QUEUED, {"queued"}),
        (lambda entry: rules.requeue(entry, "full"), RUNNING, {"running"}),
        (rules.stop, RUNNING, {"running", "preempted"}),
        (preempt, RUNNING, {"running", "preempted"}),
        (finish(tuning_job_name=JOB), RUNNING, {"running", "stopping"}),
        (finish(tuning_job_name=JOB, preempted=True), RUNNING, {"preempted"}),
        (rules.hold, QUEUED, {"queued"}),
        (rules.hold, replace(QUEUED, blocked=True), {"blocked"}),
        (rules.release, replace(QUEUED, on_hold=True), {"on hold"}),
        (lambda entry: rules.unblock(entry, None), replace(QUEUED, blocked=True), {"blocked"}),
        (lambda entry: rules.set_priority(entry, 5), QUEUED, {"queued"}),
    ],
)
def test_a_transition_replaces_only_the_state_that_it_was_decided_for(
    change: Callable[[Entry], Transition], of: Entry, allowed: set[str]
) -> None:
    transition = change(of)
    assert {name for name, entry in ALL.items() if transition.allows(entry)} == allowed
    assert not transition.allows(None)


@pytest.mark.parametrize(
    ("entry", "changed", "joins", "leaves", "running", "blocked"),
    [
        (QUEUED, True, True, False, "none", "none"),
        (QUEUED, False, False, False, "none", "none"),
        (replace(QUEUED, on_hold=True), True, False, True, "none", "none"),
        (replace(QUEUED, blocked=True), True, False, True, "none", "written"),
        (RUNNING, True, False, True, "written", "none"),
        (RUNNING, False, False, False, "written", "none"),
        (STOPPING, True, False, True, "written", "none"),
        (ENDED, True, False, True, "none", "none"),
    ],
)
def test_a_restored_entry_has_the_rows_that_follow_from_its_state(
    entry: Entry, changed: bool, joins: bool, leaves: bool, running: str, blocked: str
) -> None:
    restored = rules.restore(entry, Status.QUEUED, changed=changed)
    assert bool(restored.queue_sort_key) is joins
    assert restored.leaves_queue is leaves
    assert restored.running == (
        RunningEntry.of(entry) if running == "written" else RowChange.DELETE
    )
    assert restored.blocked == (
        BlockedEntry.of(entry) if blocked == "written" else RowChange.DELETE
    )
    assert bool(restored.changes) is changed
    assert rules.restore(entry, None, changed=True).allows(None)
