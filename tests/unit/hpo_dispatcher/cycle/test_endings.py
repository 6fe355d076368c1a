"""What the end of a tuning job means for its request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import (
    BestTrainingJob,
    EarlierJob,
    Entry,
    Key,
    RunningEntry,
    Spent,
    Status,
)
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.cycle.endings import ending_of, finish, never_created
from hpo_dispatcher.ports import Ending, TuningJobDetail
from tests.support.scheduling_scene import M5, NOON, ago

SECRET = "hunter2-hunter2"
BEST = BestTrainingJob(name="t", objective=0.9, metric="auc", hyperparameters={})
WORSE = replace(BEST, name="u", objective=0.5)


class Builder:
    """A builder that resumes requests, or cannot."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def resumed(self, entry: Entry) -> Entry:
        if self.error:
            raise self.error
        return replace(entry, max_parallel=1)


def job(**fields: Any) -> RunningEntry:
    given: dict[str, Any] = {
        "tuning_job_name": "job", "team": "fraud", "request_id": "r", "instances": {M5: 2},
        "status": Status.IN_PROGRESS, "started_at": ago(30), "most_instance_seconds": 1_000_000,
    }  # fmt: skip
    return RunningEntry(**(given | fields))


def detail(**fields: Any) -> TuningJobDetail:
    given: dict[str, Any] = {
        "name": "job", "status": Status.COMPLETED, "counters": {"Completed": 4}, "best": BEST,
        "ended_at": ago(10), "failure_reason": "",
    }  # fmt: skip
    return TuningJobDetail(**(given | fields))


def entry(**fields: Any) -> Entry:
    given: dict[str, Any] = {
        "team": "fraud", "request_id": "r", "status": Status.STOPPING, "accepted_at": ago(60),
        "tuning_job_name": "job", "max_training_jobs": 10, "max_parallel": 2,
        "request_json": f'{{"hyperparameters": {{"api_token": "{SECRET}"}}}}',
    }  # fmt: skip
    return Entry(**(given | fields))


def ended(
    job: RunningEntry, detail: TuningJobDetail, entry: Entry | None, error: Exception | None = None
) -> Ending:
    builder: Any = Builder(error)
    return ending_of(
        job, detail, entry, builder=builder, redactor=Redactor(["api_token"]), now=NOON
    )


def test_an_ended_tuning_job_ends_its_request_as_sagemaker_says() -> None:
    found = ended(job(), detail(status=Status.FAILED, failure_reason="no GPU"), None)
    assert found == Ending(
        team="fraud", request_id="r", was=(Status.IN_PROGRESS, Status.STOPPING),
        status=Status.FAILED, ended_at=ago(10), tuning_job_name="job", reason="no GPU",
        counters={"Completed": 4}, best=BEST, preempted=False, resumes_as=None,
        spent=Spent(team="fraud", month="2026-11", instance_seconds=2 * 20 * 60),
    )  # fmt: skip


def test_without_an_end_time_it_has_ended_now() -> None:
    found = ended(job(), detail(ended_at=None), None)
    assert found.ended_at == NOON
    assert found.spent == Spent(team="fraud", month="2026-11", instance_seconds=2 * 30 * 60)


EARLIER = EarlierJob(
    tuning_job_name="before", counters={"Completed": 3}, interrupted=1, seconds=60,
    instance_seconds=120, found=True,
)  # fmt: skip


@pytest.mark.parametrize(("minimize", "best"), [(False, BEST), (True, WORSE)])
def test_a_resumed_request_has_the_results_of_all_its_tuning_jobs(
    minimize: bool, best: BestTrainingJob
) -> None:
    resumed = entry(earlier=(EARLIER,), best=WORSE)
    found = ended(job(resumed=True), detail(minimize=minimize), resumed)
    assert (found.status, found.best, found.counters) == (Status.COMPLETED, best, {"Completed": 7})
    assert found.resumes_as is None


PREEMPTED = job(
    status=Status.STOPPING, preempted_for=("vision", "v"), already_stopped=1, resumed=True
)
STOPPED = detail(status=Status.STOPPED, counters={"Completed": 4, "Stopped": 3})


def test_a_preempted_request_is_queued_for_the_training_jobs_that_have_not_ended() -> None:
    found = ended(PREEMPTED, STOPPED, entry(earlier=(EARLIER,)))
    assert (found.status, found.preempted, found.best) == (Status.QUEUED, True, BEST)
    assert found.counters == {"Completed": 7, "Stopped": 1}
    resumed = found.resumes_as
    assert resumed
    assert resumed.max_parallel == 1, "with the demand of its next tuning job"
    assert resumed.training_jobs_left == 10 - 3 - 5
    assert resumed.earlier[-1] == EarlierJob(
        tuning_job_name="job", counters={"Completed": 4, "Stopped": 1}, interrupted=2,
        seconds=1200, instance_seconds=2400, found=True,
    )  # fmt: skip
    assert found.reason == resumed.reason
    assert "preempted by vision/v; 8 of 10" in found.reason


def test_a_preempted_tuning_job_without_a_result_is_no_parent() -> None:
    resumed = ended(PREEMPTED, replace(STOPPED, best=None), entry()).resumes_as
    assert resumed
    assert resumed.earlier[-1].found is False


@pytest.mark.parametrize(
    "change", [{"status": Status.COMPLETED}, {"status": Status.FAILED}, {"deleted": True}]
)
def test_a_preempted_request_whose_tuning_job_ended_in_another_way_has_ended(
    change: dict[str, Any],
) -> None:
    found = ended(PREEMPTED, replace(STOPPED, **change), entry(earlier=(EARLIER,)))
    assert found.status is change.get("status", Status.STOPPED)
    assert found.resumes_as is None
    assert found.preempted, "it must still be preempted when this is written"
    assert found.counters == {"Completed": 7, "Stopped": 3}


def test_a_preempted_request_that_has_run_everything_is_complete() -> None:
    found = ended(PREEMPTED, replace(STOPPED, counters={"Completed": 10}), entry())
    assert (found.status, found.resumes_as, found.reason) == (Status.COMPLETED, None, "")
    assert found.counters == {"Completed": 10}


def test_a_request_that_can_no_longer_resume_stops_and_its_reason_tells_no_secret() -> None:
    error = InvalidRequest("template", f"no {SECRET}", "Send another one")
    found = ended(PREEMPTED, STOPPED, entry(), error)
    assert (found.status, found.resumes_as) == (Status.STOPPED, None)
    assert found.reason.startswith("could not resume: template: no ")
    assert SECRET not in found.reason


def test_a_request_whose_template_is_broken_keeps_its_demand_and_waits() -> None:
    found = ended(PREEMPTED, STOPPED, entry(), BrokenTemplate("t", "broken"))
    assert found.status is Status.QUEUED
    assert found.resumes_as
    assert found.resumes_as.max_parallel == 2


def test_a_clock_that_is_late_gives_no_negative_run_time() -> None:
    early = replace(STOPPED, ended_at=ago(31))
    resumed = ended(PREEMPTED, early, entry()).resumes_as
    assert resumed
    assert (resumed.earlier[-1].seconds, resumed.earlier[-1].instance_seconds) == (0, 0)


def test_a_tuning_job_that_was_preempted_before_its_creation_has_run_nothing() -> None:
    found = ended(PREEMPTED, never_created(PREEMPTED), entry())
    assert found.status is Status.QUEUED
    assert found.ended_at == PREEMPTED.started_at
    assert found.spent == Spent(team="fraud", month="2026-11", instance_seconds=0)
    assert found.resumes_as
    assert found.resumes_as.training_jobs_left == 10


class Ledger:
    """A ledger that writes only some endings."""

    def __init__(self, *written: Key) -> None:
        self.written = written
        self.asked: list[Ending] = []

    def finish(self, endings: Sequence[Ending]) -> Sequence[Key]:
        self.asked += endings
        return self.written


def test_only_endings_that_were_written_are_reported() -> None:
    plain = ended(job(), detail(failure_reason="why"), None)
    other = replace(plain, request_id="other")
    ledger: Any = Ledger(plain.key)
    (change,) = finish(ledger, [plain, other], lambda: NOON + timedelta(minutes=1))
    assert ledger.asked == [plain, other]
    assert (change.team, change.request_id, change.at) == ("fraud", "r", ago(-1))
    assert (change.status, change.previous_status) == (Status.COMPLETED, Status.IN_PROGRESS)
    assert (change.tuning_job_name, change.reason) == ("job", "why")


def test_the_change_of_a_preempted_request_is_from_stopping() -> None:
    found = ended(PREEMPTED, STOPPED, entry())
    ledger: Any = Ledger(found.key)
    (change,) = finish(ledger, [found], lambda: NOON)
    assert (change.status, change.previous_status) == (Status.QUEUED, Status.STOPPING)


def test_a_request_that_never_had_a_tuning_job_is_reported_with_the_name_it_would_have() -> None:
    cancelled = Ending(
        team="fraud", request_id="r", was=(Status.QUEUED,), status=Status.CANCELLED, ended_at=NOON
    )
    ledger: Any = Ledger(cancelled.key)
    (change,) = finish(ledger, [cancelled], lambda: NOON)
    assert change.tuning_job_name == tuning_job_name("fraud", "r")
    assert change.previous_status is Status.QUEUED


def test_without_endings_the_ledger_is_not_asked() -> None:
    ledger: Any = Ledger()
    assert finish(ledger, [], lambda: NOON) == []
