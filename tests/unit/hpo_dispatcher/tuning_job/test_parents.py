"""The warm start parents that an ended request gives to its children."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, EarlierJob, Entry, Status
from hpo_dispatcher.tuning_job.parents import (
    Parent,
    Resumption,
    earlier_parents,
    parents_in_order,
    parents_of,
)
from hpo_dispatcher.tuning_job.resumption import after_stop, resumption_of, with_earlier
from tests.support.scheduling_scene import ago


def job(name: str, completed: int = 4, interrupted: int = 2, **fields: Any) -> EarlierJob:
    given: dict[str, Any] = {
        "counters": {"Completed": completed}, "interrupted": interrupted, "seconds": 100,
        "instance_seconds": 50, "found": True,
    }  # fmt: skip
    return EarlierJob(tuning_job_name=name, **(given | fields))


def entry(request_id: str = "r", **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "status": Status.COMPLETED, "accepted_at": ago(90), "template": "cpu",
        "tuning_job_name": "last", "max_training_jobs": 20, "counters": {"Completed": 20},
    }  # fmt: skip
    return Entry(team="fraud", request_id=request_id, **(given | fields))


def parent(name: str, training_jobs: int, *, earlier: bool = False) -> Parent:
    return Parent(
        tuning_job_name=name, template="cpu", training_jobs=training_jobs, earlier=earlier
    )


def test_a_request_that_was_never_preempted_has_one_tuning_job() -> None:
    assert parents_of(entry()) == [parent("last", 20)]


def test_the_latest_tuning_job_comes_first_and_has_launched_what_the_others_have_not_ended() -> (
    None
):
    resumed = entry(earlier=(job("first"), job("second", completed=6)))
    assert parents_of(resumed) == [
        parent("last", 10),
        parent("second", 8, earlier=True),
        parent("first", 6, earlier=True),
    ]


def test_a_tuning_job_without_counters_counts_with_what_it_could_have_run() -> None:
    assert parents_of(entry(counters={})) == [parent("last", 20)]
    assert parents_of(entry(earlier=(job("first"),), counters={"Completed": 4}))[0] == parent(
        "last", 16
    )


def test_a_tuning_job_without_a_result_is_no_parent() -> None:
    resumed = entry(earlier=(job("first", found=False), job("second")))
    assert [each.tuning_job_name for each in earlier_parents(resumed)] == ["second"]
    assert [each.tuning_job_name for each in parents_of(resumed)] == ["last", "second"]


def test_a_request_cancelled_before_it_resumed_has_its_latest_tuning_job_in_place_of_the_last() -> (
    None
):
    stopped = entry(tuning_job_name="", earlier=(job("first"), job("second")))
    assert parents_of(stopped) == [parent("second", 6), parent("first", 6, earlier=True)]
    assert parents_of(entry(tuning_job_name="")) == []


def test_parents_are_in_the_order_of_the_message_and_those_that_are_gone_are_left_out() -> None:
    entries = {name: entry(name, tuning_job_name=f"of-{name}") for name in ("a", "b")}
    found = parents_in_order(["b", "gone", "a"], entries)
    assert [each.tuning_job_name for each in found] == ["of-b", "of-a"]


def test_what_a_resumed_request_has_left() -> None:
    assert resumption_of(entry()) is None
    resumed = entry(earlier=(job("first", seconds=30), job("second", found=False, seconds=12)))
    assert resumption_of(resumed) == Resumption(
        number=2, training_jobs=12, seconds=42, parents=(parent("first", 6, earlier=True),)
    )


BEST = BestTrainingJob(name="t", objective=0.9, metric="auc", hyperparameters={})


def stopping(**fields: Any) -> Entry:
    given: dict[str, Any] = {
        "status": Status.STOPPING, "started_at": ago(10), "preempted_for": ("vision", "v"),
        "already_stopped": 3, "counters": {},
    }  # fmt: skip
    return entry(**(given | fields))


def test_a_stopped_request_is_queued_for_what_has_not_ended() -> None:
    before = stopping(earlier=(job("first"),))
    after = after_stop(before, job("last", completed=6), BEST)
    assert (after.status, after.training_jobs_left) == (Status.QUEUED, 10)
    assert [each.tuning_job_name for each in after.earlier] == ["first", "last"]
    assert after.counters == {"Completed": 10}
    assert after.best == BEST
    assert (after.tuning_job_name, after.started_at) == ("", None)
    assert (after.preempted_for, after.already_stopped) == (None, 0)
    assert after.reason == (
        "preempted by vision/v; 10 of 20 training jobs have ended, the others run when it is "
        "resumed"
    )


@pytest.mark.parametrize(
    ("completed", "status"),
    [(19, Status.QUEUED), (20, Status.COMPLETED), (21, Status.COMPLETED)],
)
def test_a_request_whose_training_jobs_have_all_ended_is_complete(
    completed: int, status: Status
) -> None:
    after = after_stop(stopping(), job("last", completed=completed, interrupted=0), None)
    assert after.status is status
    assert after.tuning_job_name == ("last" if status is Status.COMPLETED else "")


def test_counters_add_up_over_all_tuning_jobs_of_a_request() -> None:
    assert with_earlier((), {"Completed": 3}) == {"Completed": 3}
    before = (job("a", completed=4), job("b", counters={"Completed": 1, "Stopped": 2}))
    assert with_earlier(before, {"Completed": 3, "NonRetryableError": 1}) == {
        "Completed": 8, "Stopped": 2, "NonRetryableError": 1
    }  # fmt: skip
