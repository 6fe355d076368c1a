"""What is recorded of requests whose tuning jobs have ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import EarlierJob, Entry, RunningEntry, Status
from hpo_dispatcher.cycle.outcome import Observation
from hpo_dispatcher.ports import TuningJobDetail
from tests.support.reconcile_scene import entry, scene
from tests.support.scheduling_scene import M5, ago


def running(request_id: str, **fields: Any) -> RunningEntry:
    return RunningEntry(
        tuning_job_name=f"job-{request_id}", team="fraud", request_id=request_id,
        instances={M5: 1}, started_at=ago(30), **({"status": Status.IN_PROGRESS} | fields),
    )  # fmt: skip


def detail(status: Status, **fields: Any) -> TuningJobDetail:
    given: dict[str, Any] = {
        "name": "n", "counters": {"Completed": 2}, "best": None, "ended_at": ago(1),
        "failure_reason": "",
    }  # fmt: skip
    return TuningJobDetail(status=status, **(given | fields))


def seen(
    *ends: tuple[RunningEntry, TuningJobDetail], missing: Sequence[RunningEntry] = ()
) -> Observation:
    return Observation(listed={}, active=(), ended=ends, missing=missing)


def in_progress(request_id: str, **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "status": Status.IN_PROGRESS, "tuning_job_name": f"job-{request_id}",
        "max_training_jobs": 10, "started_at": ago(30),
    }  # fmt: skip
    return entry(request_id, **(given | fields))


PREEMPTED = {"status": Status.STOPPING, "preempted_for": ("vision", "v")}
EARLIER = EarlierJob(
    tuning_job_name="before", counters={"Completed": 3}, interrupted=0, seconds=60,
    instance_seconds=60, found=False,
)  # fmt: skip


def test_the_end_of_a_first_tuning_job_is_written_without_reading_its_entry() -> None:
    at = scene(in_progress("a"))
    before = at.ledger.calls["dynamodb:BatchGetItem"]
    outcome = at.reconciler.reconcile(seen((running("a"), detail(Status.COMPLETED))))
    assert (at["a"].status, at["a"].counters) == (Status.COMPLETED, {"Completed": 2})
    assert [(each.request_id, each.status) for each in outcome.changes] == [
        ("a", Status.COMPLETED)
    ]  # fmt: skip
    assert outcome.queued == []
    assert at.ledger.calls["dynamodb:BatchGetItem"] == before


def test_a_resumed_request_ends_with_the_training_jobs_of_all_its_tuning_jobs() -> None:
    at = scene(in_progress("a", earlier=(EARLIER,)))
    at.reconciler.reconcile(seen((running("a", resumed=True), detail(Status.COMPLETED))))
    assert at["a"].counters == {"Completed": 5}


def test_a_preempted_request_is_queued_again_also_if_its_tuning_job_was_never_created() -> None:
    at = scene(in_progress("a", **PREEMPTED), in_progress("b", **PREEMPTED))
    stopped = running("a", **PREEMPTED), detail(Status.STOPPED)
    outcome = at.reconciler.reconcile(seen(stopped, missing=[running("b", **PREEMPTED)]))
    assert [(each.request_id, each.status) for each in outcome.queued] == [
        ("a", Status.QUEUED), ("b", Status.QUEUED)
    ]  # fmt: skip
    assert at.queue() == ["a", "b"]
    assert (at["a"].training_jobs_left, at["b"].training_jobs_left) == (8, 10)


def test_a_request_that_waits_for_its_tuning_job_to_be_created_has_not_ended() -> None:
    at = scene(in_progress("a"))
    assert at.reconciler.reconcile(seen(missing=[running("a")])).changes == []
    assert at["a"].status is Status.IN_PROGRESS


def test_what_another_cycle_has_written_is_not_reported_again() -> None:
    """A cancel turned the preemption into a stop for good, or the row has expired."""
    at = scene(in_progress("a", **(PREEMPTED | {"preempted_for": None})))
    stopped = [(running(name, **PREEMPTED), detail(Status.STOPPED)) for name in ("a", "gone")]
    completed = running("expired", resumed=True), detail(Status.COMPLETED)
    outcome = at.reconciler.reconcile(seen(*stopped, completed))
    assert (outcome.changes, outcome.queued) == ([], [])


@pytest.mark.parametrize("job", [{"resumed": True}, PREEMPTED], ids=["resumed", "preempted"])
def test_a_request_that_cannot_be_read_does_not_end_with_a_part_of_its_results(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version that wrote it will record its end."""
    at = scene(in_progress("a", earlier=(EARLIER,)))
    monkeypatch.setattr(at.ledger, "get_all", lambda keys: {})
    outcome = at.reconciler.reconcile(seen((running("a", **job), detail(Status.COMPLETED))))
    assert (outcome.changes, at["a"].status) == ([], Status.IN_PROGRESS)
