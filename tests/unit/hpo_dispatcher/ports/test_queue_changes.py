"""What an entry becomes that is held, released, unblocked, moved or restored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Status
from hpo_dispatcher.contract.request import digest
from hpo_dispatcher.ports import Added
from hpo_dispatcher.ports import transitions as rules
from hpo_dispatcher.ports.transitions import ON_HOLD, RowChange, Transition
from tests.support.tuning_requests import request

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BOTH = ("home", "research")
QUEUED = Entry(
    team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON, targets=BOTH,
    request_json=request(after=["b"]).to_json(), priority=1, reason="no room",
)  # fmt: skip
JOB = QUEUED.job_name
RUNNING = replace(
    QUEUED, status=Status.IN_PROGRESS, tuning_job_name=JOB, started_at=NOON, reason=""
)  # fmt: skip


def after(stored: Entry, transition: Transition | None) -> Entry:
    """Return an entry as a transition leaves it."""
    assert transition is not None
    assert transition.key == stored.key
    return replace(stored, **transition.changes)


def test_a_request_on_hold_leaves_its_queue_and_says_why() -> None:
    transition = rules.hold(QUEUED)
    assert after(QUEUED, transition) == replace(QUEUED, on_hold=True, reason=ON_HOLD)
    assert transition is not None
    assert transition.leaves_queue
    assert transition.queue_sort_key == ""


@pytest.mark.parametrize("blocked", [True, False])
def test_a_released_request_joins_its_queue_unless_it_is_blocked(blocked: bool) -> None:
    stored = replace(QUEUED, on_hold=True, reason=ON_HOLD, blocked=blocked)
    transition = rules.release(stored)
    assert after(stored, transition) == replace(QUEUED, reason="", blocked=blocked)
    assert transition is not None
    assert transition.queue_sort_key == ("" if blocked else QUEUED.queue_sort_key)


@pytest.mark.parametrize("on_hold", [True, False])
def test_an_unblocked_request_joins_its_queue_unless_it_is_on_hold(on_hold: bool) -> None:
    stored = replace(QUEUED, blocked=True, on_hold=on_hold)
    transition = rules.unblock(stored, None)
    assert after(stored, transition) == replace(QUEUED, reason="", on_hold=on_hold)
    assert transition is not None
    assert transition.queue_sort_key == ("" if on_hold else QUEUED.queue_sort_key)
    assert transition.blocked is RowChange.DELETE


@pytest.mark.parametrize("targets", [BOTH, ("research",)])
def test_an_unblocked_request_takes_over_the_demand_that_it_lacked(
    targets: tuple[str, ...],
) -> None:
    demand = replace(
        QUEUED, instances={"ml.g5.xlarge": 1}, max_training_jobs=9, max_parallel=3, targets=targets,
        most_instance_seconds=3600, resume_blocker="", priority=7, template="other",
    )  # fmt: skip
    stored = replace(QUEUED, blocked=True)
    transition = rules.unblock(stored, demand)
    assert after(stored, transition) == replace(demand, reason="", priority=1, template="")
    assert transition is not None
    assert ("targets" in transition.changes) is (targets != stored.targets)


@pytest.mark.parametrize("waits", [{}, {"blocked": True}, {"on_hold": True}])
def test_a_new_priority_moves_a_request_only_if_it_is_in_its_queue(waits: dict[str, Any]) -> None:
    stored = replace(QUEUED, **waits)
    transition = rules.set_priority(stored, 5)
    moved = replace(stored, priority=5)
    assert after(stored, transition) == moved
    assert transition is not None
    assert transition.queue_sort_key == ("" if waits else moved.queue_sort_key)
    assert not transition.leaves_queue


@pytest.mark.parametrize("entry", [RUNNING, replace(RUNNING, status=Status.COMPLETED)])
def test_only_a_queued_request_is_held_released_unblocked_or_moved(entry: Entry) -> None:
    entry = replace(entry, on_hold=True, blocked=True)
    assert rules.hold(entry) is None
    assert rules.release(entry) is None
    assert rules.unblock(entry, None) is None
    assert rules.set_priority(entry, 5) is None


def test_what_is_neither_on_hold_nor_blocked_is_not_released_or_unblocked() -> None:
    assert rules.release(QUEUED) is None
    assert rules.unblock(QUEUED, None) is None


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("entry", [QUEUED, replace(QUEUED, blocked=True), RUNNING])
def test_a_restored_entry_is_written_as_a_whole_or_not_at_all(entry: Entry, changed: bool) -> None:
    stored = Entry(
        team="fraud", request_id="a", status=Status.FAILED, accepted_at=NOON + timedelta(hours=1)
    )
    transition = rules.restore(entry, Status.FAILED, changed=changed)
    assert after(stored, transition) == (entry if changed else stored)
    assert {"team", "request_id"}.isdisjoint(transition.changes), "the key is no attribute"
    assert transition.allows(stored)
    assert not transition.allows(QUEUED)
    assert transition.tuning_job_name == JOB
    joins = changed and entry == QUEUED
    assert transition.queue_sort_key == (QUEUED.queue_sort_key if joins else "")
    if entry.blocked:
        assert transition.blocked == BlockedEntry.of(entry)


NEW = replace(QUEUED, targets=("home",))


@pytest.mark.parametrize(
    ("status", "same_request", "job", "outcome"),
    [
        (Status.QUEUED, True, None, Added.REPEATED),
        (Status.QUEUED, False, None, Added.TAKEN),
        (Status.COMPLETED, True, JOB, Added.REPEATED),
        (Status.COMPLETED, False, JOB, Added.TAKEN),
        (Status.CANCELLED, True, None, Added.REPEATED),
        (Status.CANCELLED, False, None, Added.TAKEN),
        (Status.CANCELLED, None, None, Added.CANCELLED),
        (Status.CANCELLED, None, JOB, Added.REPEATED),
        (Status.COMPLETED, None, JOB, Added.REPEATED),
        (Status.REJECTED, None, None, Added.TAKEN),
        (None, None, None, Added.TAKEN),
    ],
)
def test_an_id_in_use_belongs_to_the_request_that_came_first(
    status: Status | None, same_request: bool | None, job: str | None, outcome: Added
) -> None:
    """A request is unknown if it was cancelled before it arrived, or lost with its ledger."""
    digests = {True: digest(NEW.request_json), False: "another", None: None}
    assert outcome is rules.outcome_of_repeat(
        NEW, status=status, digest=digests[same_request], tuning_job_name=job
    )
