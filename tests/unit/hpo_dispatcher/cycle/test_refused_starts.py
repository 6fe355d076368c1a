"""What becomes of requests that SageMaker refuses again, and of those that were announced."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.contract.entry import EarlierJob, RunningEntry, Status
from hpo_dispatcher.cycle.outcome import Observation
from hpo_dispatcher.ports import (
    AccountFault,
    AtLimit,
    NotYetVisible,
    Refused,
    Unavailable,
    Untagged,
)
from hpo_dispatcher.scheduling.backoff import Backoff, Delay
from tests.support.scheduling_scene import NOON, ago
from tests.support.start_scene import EU, HOME, entry, start_scene

KEY = ("fraud", "b")
P3 = "ml.p3.8xlarge for training job usage"
EARLIER = EarlierJob(
    tuning_job_name="before", counters={"Completed": 1}, interrupted=0, seconds=60,
    instance_seconds=60, found=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("earlier", "status", "reason"),
    [
        ((), Status.FAILED, "no role"),
        ((EARLIER,), Status.STOPPED, "could not resume: no role"),
    ],
)
def test_a_fault_of_a_day_ends_a_request_and_a_resumed_one_keeps_its_results(
    earlier: tuple[EarlierJob, ...], status: Status, reason: str
) -> None:
    day = timedelta(hours=24)
    delay = Delay(kind=WaitKind.ACCOUNT_FAULT, since=ago(9), tries=9, retry_at=ago(1), waited=day)
    at = start_scene(
        entry("b", earlier=earlier, counters={"Completed": len(earlier)}),
        answers={"b": AccountFault("no role")}, backoff=Backoff(requests={KEY: delay}),
    )  # fmt: skip
    outcome = at.start()
    assert (at["b"].status, at["b"].reason, at["b"].ended_at) == (status, reason, NOON)
    assert at["b"].counters == {"Completed": len(earlier)}
    assert (outcome.failed, outcome.requeued, outcome.delayed) == ([KEY], {}, {})
    assert at.history() == [("b", "Queued", str(status), reason)]
    assert outcome.changes[0].tuning_job_name == entry("b", earlier=earlier).job_name
    assert (outcome.unannounced, at.dead_letters.letters) == (set(), [])


def test_a_resumed_request_that_is_refused_for_good_stops_and_is_not_dead_lettered() -> None:
    """A resubmission would repeat what has ended."""
    at = start_scene(entry("b", earlier=(EARLIER,)), answers={"b": Refused("no such metric")})
    outcome = at.start()
    assert at["b"].status is Status.STOPPED
    assert at["b"].reason.startswith("could not resume: request: no such metric")
    assert (outcome.rejected, at.dead_letters.letters) == ([KEY], [])


def test_a_request_that_cannot_be_dead_lettered_waits_as_for_a_fault_of_the_account() -> None:
    at = start_scene(entry("b"), answers={"b": Refused("no such metric")})
    at.dead_letters.down = True
    outcome = at.start()
    assert at["b"].status is Status.QUEUED
    assert at["b"].reason.startswith("request: no such metric")
    assert at["b"].reason.endswith("it was not rejected: no such queue")
    assert outcome.problems == ["rejection of fraud/b: no such queue"]
    assert (outcome.delayed, outcome.rejected) == ({KEY: WaitKind.ACCOUNT_FAULT}, [])


@pytest.mark.parametrize(("waited", "rejected"), [(59, False), (60, True)])
def test_a_name_without_tags_is_taken_after_an_hour(waited: int, rejected: bool) -> None:
    delay = Delay(kind=WaitKind.TUNING_JOB_NAME, since=ago(waited), tries=3, retry_at=ago(1))
    at = start_scene(
        entry("b"), answers={"b": Untagged("somebody")}, backoff=Backoff(requests={KEY: delay})
    )
    outcome = at.start()
    assert at["b"].status is (Status.REJECTED if rejected else Status.QUEUED)
    assert outcome.delayed == ({} if rejected else {KEY: WaitKind.TUNING_JOB_NAME})


@pytest.mark.parametrize(("minutes", "status"), [(59, Status.IN_PROGRESS), (60, Status.REJECTED)])
def test_a_name_that_stays_invisible_is_taken_after_an_hour(minutes: int, status: Status) -> None:
    at = start_scene(entry("b"), answers={"b": NotYetVisible("somebody")})
    at.start()
    later = NOON + timedelta(minutes=minutes)
    refusals = replace(at.starter.refusals, clock=lambda: later)
    at.starter = replace(at.starter, refusals=refusals, clock=lambda: later)
    job = RunningEntry.of(at["b"])
    seen = Observation(listed={}, active=[job], ended=(), missing=[job])
    at.starter.complete_interrupted(seen, at.outcome)
    assert (at["b"].status, "belongs to somebody" in at["b"].reason) == (
        status, status is Status.REJECTED
    )  # fmt: skip


def test_a_start_that_was_announced_and_is_refused_returns_to_its_queue() -> None:
    at = start_scene(entry("b"), answers={"b": Unavailable("timed out")})
    at.start()
    at.outcome.unannounced.clear()  # an earlier dispatcher has told its followers
    at.services.answers["b"] = AccountFault("no role")
    job = RunningEntry.of(at["b"])
    seen = Observation(listed={}, active=[job], ended=(), missing=[job])
    at.starter.complete_interrupted(seen, at.outcome)
    assert at.history()[-1] == ("b", "InProgress", "Queued", "no role")
    change = at.outcome.changes[-1]
    assert (change.tuning_job_name, change.target, change.at) == (job.tuning_job_name, HOME, NOON)


@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_refused_request_may_run_elsewhere_only_if_this_cycle_was_the_first_to_try(
    is_fresh: bool,
) -> None:
    """Otherwise its tuning job may exist on the target after all."""
    at = start_scene(
        entry("b", targets=(HOME, EU), target=EU), answers={"b": Unavailable("timed out")}
    )
    if not is_fresh:
        at.start()
        at.outcome.dequeued.clear()
    at.services.answers["b"] = AtLimit("full")
    if is_fresh:
        at.start()
    else:
        job = RunningEntry.of(at["b"])
        seen = Observation(listed={}, active=[job], ended=(), missing=[job])
        at.starter.complete_interrupted(seen, at.outcome)
    assert at["b"].status is Status.QUEUED
    assert at["b"].targets == ((HOME, EU) if is_fresh else (EU,))
    assert at.outcome.delayed_on == {KEY: EU}


def test_a_quota_that_the_request_does_not_need_delays_only_the_request() -> None:
    other = QuotaExceeded(name=P3, limit=4, in_use=4, requested=2)
    at = start_scene(entry("b"), answers={"b": AtLimit("full", other)})
    at.start()
    assert (at.outcome.quotas, at.outcome.delayed) == ({}, {KEY: WaitKind.ACCOUNT_QUOTA})


@pytest.mark.parametrize("answer", [Refused("no such metric"), AtLimit("full")])
def test_a_refusal_on_another_target_is_told_with_it(answer: AtLimit | Refused) -> None:
    at = start_scene(entry("b", targets=(HOME, EU), target=EU), answers={"b": answer})
    at.start("b")
    told = [each.target for each in at.outcome.changes]
    assert told == ([EU] if isinstance(answer, Refused) else [])
    assert (at["b"].targets, at["b"].target) == ((HOME, EU), EU)
