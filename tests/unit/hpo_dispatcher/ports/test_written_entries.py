"""What an entry and its rows become when a tuning job starts, stops and ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import (
    BestTrainingJob,
    EarlierJob,
    Entry,
    RunningEntry,
    Spent,
    Status,
)
from hpo_dispatcher.contract.ledger.entry_item import attributes
from hpo_dispatcher.contract.ledger.rows import ON_TARGETS, PREEMPTED
from hpo_dispatcher.ports import Ending, Preemption
from hpo_dispatcher.ports import transitions as rules
from hpo_dispatcher.ports.transitions import RowChange, Transition
from tests.support.tuning_requests import request

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
BOTH = ("home", "research")
BEST = BestTrainingJob(name="j", objective=0.5, metric="auc", hyperparameters={"lr": "0.1"})
QUEUED = Entry(
    team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON, targets=BOTH,
    request_json=request(after=["b"]).to_json(), instances={"ml.m5.large": 2}, priority=1,
    reason="no room",
)  # fmt: skip
JOB = QUEUED.job_name
RUNNING = replace(
    QUEUED, status=Status.IN_PROGRESS, tuning_job_name=JOB, started_at=NOON, reason=""
)  # fmt: skip
ELSEWHERE = replace(RUNNING, target="research")
PREEMPTED_FOR = ("vision", "v")
STOPPING = replace(
    RUNNING, status=Status.STOPPING, preempted_for=PREEMPTED_FOR, already_stopped=2
)  # fmt: skip
EARLIER = EarlierJob(
    tuning_job_name=JOB, counters={"Completed": 3}, interrupted=2, seconds=60, instance_seconds=300,
    found=True,
)  # fmt: skip


def after(stored: Entry, transition: Transition) -> Entry:
    """Return an entry as a transition leaves it."""
    assert transition.key == stored.key
    return replace(stored, **transition.changes)


def preempted(job: Entry) -> Transition:
    return rules.preempt(
        Preemption(
            team=job.team, request_id=job.request_id, tuning_job_name=job.job_name,
            preempted_for=PREEMPTED_FOR, already_stopped=2, target=job.target,
        )
    )  # fmt: skip


def ending(of: Entry, **fields: Any) -> Ending:
    known: dict[str, Any] = {
        "team": of.team, "request_id": of.request_id, "was": (of.status,), "ended_at": LATER,
        "status": Status.STOPPED, "tuning_job_name": of.tuning_job_name,
    }  # fmt: skip
    return Ending(**(known | fields))


@pytest.mark.parametrize("target", BOTH)
def test_a_started_request_runs_on_its_target_and_no_longer_waits(target: str) -> None:
    transition = rules.start(replace(QUEUED, target=target), LATER)
    started = replace(RUNNING, target=target, started_at=LATER)
    assert after(QUEUED, transition) == started
    assert transition.leaves_queue
    assert transition.tuning_job_name == JOB
    assert transition.running == RunningEntry.of(started)


def test_a_request_that_was_elsewhere_before_may_start_at_home() -> None:
    stored = replace(QUEUED, target="research")
    assert after(stored, rules.start(QUEUED, NOON)) == RUNNING


def test_a_start_at_home_names_no_target_if_its_team_has_no_other() -> None:
    """An older hpoq reads such a row: docs/decisions/0017."""
    transition = rules.start(replace(QUEUED, targets=("home",)), LATER)
    assert "target" not in transition.changes


@pytest.mark.parametrize("entry", [RUNNING, ELSEWHERE])
def test_a_requeued_request_has_no_tuning_job_and_returns_to_its_position(entry: Entry) -> None:
    transition = rules.requeue(entry, "full")
    assert after(entry, transition) == replace(QUEUED, reason="full", target=entry.target)
    assert transition.queue_sort_key == QUEUED.queue_sort_key
    assert (transition.tuning_job_name, transition.running) == (JOB, RowChange.DELETE)


@pytest.mark.parametrize("entry", [RUNNING, ELSEWHERE])
def test_a_request_that_another_dispatcher_may_have_started_keeps_to_its_target(
    entry: Entry,
) -> None:
    transition = rules.requeue(entry, "full", keep_target=True)
    assert after(entry, transition) == replace(
        QUEUED, reason="full", target=entry.target, targets=(entry.target,)
    )


def test_a_request_that_has_one_target_is_requeued_as_any_other() -> None:
    """A resumed request has one: the target of its earlier tuning jobs."""
    resumed = replace(ELSEWHERE, earlier=(EARLIER,))
    for entry in (replace(RUNNING, targets=("home",)), resumed):
        kept = rules.requeue(entry, "full", keep_target=True)
        assert kept == rules.requeue(entry, "full")


@pytest.mark.parametrize("entry", [RUNNING, STOPPING, ELSEWHERE])
def test_a_stopped_request_does_not_resume(entry: Entry) -> None:
    transition = rules.stop(entry)
    assert after(entry, transition) == replace(
        entry, status=Status.STOPPING, preempted_for=None, already_stopped=0
    )
    assert (transition.tuning_job_name, transition.running) == (JOB, RowChange.UPDATE)


@pytest.mark.parametrize("entry", [RUNNING, ELSEWHERE])
def test_a_preempted_request_says_for_which_one_it_is_stopped(entry: Entry) -> None:
    transition = preempted(entry)
    assert after(entry, transition) == replace(STOPPING, target=entry.target)
    assert (transition.tuning_job_name, transition.running) == (JOB, RowChange.UPDATE)


def test_changes_of_a_job_elsewhere_keep_the_version_of_rows_about_targets() -> None:
    """An older hpoq would look for the tuning job at home: docs/decisions/0017."""
    requeued = rules.requeue(ELSEWHERE, "full", keep_target=True)
    for transition in (rules.stop(ELSEWHERE), preempted(ELSEWHERE), requeued):
        assert attributes(transition.changes)[0]["version"] == ON_TARGETS
    assert attributes(preempted(RUNNING).changes)[0]["version"] == PREEMPTED
    for change in (rules.stop, preempted):
        assert "target" not in change(RUNNING).changes


@pytest.mark.parametrize("best", [BEST, None])
def test_an_ended_request_neither_waits_nor_resumes(best: BestTrainingJob | None) -> None:
    stored = replace(STOPPING, on_hold=True, blocked=True)
    end = ending(
        STOPPING, status=Status.COMPLETED, reason="done", counters={"Completed": 9}, best=best,
        spent=Spent(team="fraud", month="2026-11", instance_seconds=5),
    )  # fmt: skip
    transition = rules.finish(end)
    assert after(stored, transition) == replace(
        RUNNING, status=Status.COMPLETED, ended_at=LATER, reason="done",
        counters={"Completed": 9}, best=best,
    )  # fmt: skip
    assert (transition.queue_sort_key, transition.leaves_queue) == ("", True)
    assert transition.spent == end.spent


def test_a_result_of_an_earlier_tuning_job_stays_if_the_last_one_has_none() -> None:
    stored = replace(RUNNING, best=BEST)
    assert after(stored, rules.finish(ending(stored))).best == BEST
    without = replace(QUEUED, earlier=(EARLIER,))
    again = rules.finish(ending(STOPPING, preempted=True, resumes_as=without))
    assert after(replace(STOPPING, best=BEST), again).best == BEST


@pytest.mark.parametrize(
    ("was", "job", "running", "blocked"),
    [
        (Status.STOPPING, JOB, RowChange.DELETE, None),
        (Status.QUEUED, "", None, RowChange.DELETE),
        (Status.QUEUED, JOB, RowChange.DELETE, None),
        (Status.IN_PROGRESS, "", None, None),
    ],
)
def test_an_ending_deletes_the_rows_that_the_request_can_have(
    was: Status, job: str, running: RowChange | None, blocked: RowChange | None
) -> None:
    """One row counts the capacity of its tuning job, another one says what it waits for."""
    transition = rules.finish(ending(RUNNING, was=(was,), tuning_job_name=job))
    assert (transition.running, transition.blocked) == (running, blocked)
    assert transition.tuning_job_name == job


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize("best", [BEST, None])
def test_a_request_that_resumes_is_queued_with_what_is_left_to_do(
    best: BestTrainingJob | None, target: str
) -> None:
    stored = replace(STOPPING, target=target)
    resumed = replace(
        QUEUED, earlier=(EARLIER,), reason="resumes", instances={"ml.m5.large": 1},
        max_parallel=1, most_instance_seconds=60, resume_blocker="", counters={"Completed": 3},
        best=best, target=target,
    )  # fmt: skip
    transition = rules.finish(ending(stored, preempted=True, resumes_as=resumed))
    assert after(stored, transition) == resumed
    assert transition.queue_sort_key == resumed.queue_sort_key
    assert not transition.leaves_queue
    assert transition.running is RowChange.DELETE
    assert ("target" in transition.changes) is (target != "home")


def test_what_a_team_spent_in_a_month_is_added_up() -> None:
    def spending(team: str, month: str, seconds: int) -> Transition:
        spent = Spent(team=team, month=month, instance_seconds=seconds)
        return rules.finish(ending(RUNNING, spent=spent))

    transitions = [
        spending("fraud", "2026-11", 5), spending("fraud", "2026-11", 7),
        spending("vision", "2026-11", 11), spending("fraud", "2026-12", 13), rules.stop(RUNNING),
    ]  # fmt: skip
    assert rules.spent_in_all(transitions) == {
        ("2026-11", "fraud"): 12, ("2026-11", "vision"): 11, ("2026-12", "fraud"): 13,
    }  # fmt: skip
