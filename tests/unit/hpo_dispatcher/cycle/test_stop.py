"""Which tuning jobs are stopped, and what is written before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Key, RunningEntry, Status
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.cycle.outcome import ActOutcome, Decision, Observation
from hpo_dispatcher.cycle.stop import Stopper
from hpo_dispatcher.ports import (
    Ending,
    LeaseLost,
    Preemption,
    TuningJob,
    TuningJobDetail,
    Unavailable,
)
from hpo_dispatcher.scheduling.plan import Plan
from hpo_dispatcher.scheduling.preemption import Stop
from hpo_dispatcher.scheduling.snapshot import Capacity, RunningJob
from tests.support.scheduling_scene import NOON, ago, queued

FOR = ("vision", "v")


class Ledger:
    """A ledger that records what is written, and lets some requests have changed."""

    def __init__(self, *changed: Key, error: Exception | None = None) -> None:
        self.changed, self.error = changed, error
        self.preempted: list[Preemption] = []
        self.finished: list[Ending] = []
        self.owner = ""

    def preempt(self, jobs: Sequence[Preemption], owner: str) -> Sequence[Key]:
        if self.error:
            raise self.error
        self.preempted += jobs
        self.owner = owner
        return [job.key for job in jobs if job.key not in self.changed]

    def finish(self, endings: Sequence[Ending]) -> Sequence[Key]:
        self.finished += endings
        return [each.key for each in endings]


class Service:
    """A SageMaker that records which tuning jobs are stopped."""

    def __init__(self, error: Exception | None = None, **statuses: Status | None) -> None:
        self.error, self.statuses = error, statuses
        self.stopped: list[str] = []

    def describe(self, name: str) -> TuningJobDetail | None:
        status = self.statuses.get(name, Status.IN_PROGRESS)
        if status is None:
            return None
        return TuningJobDetail(
            name=name, status=status, counters={"Stopped": 2, "Completed": 3}, best=None,
            ended_at=None, failure_reason="",
        )  # fmt: skip

    def stop(self, name: str) -> None:
        if self.error:
            raise self.error
        self.stopped.append(name)


def job(name: str, **fields: Any) -> RunningEntry:
    given: dict[str, Any] = {
        "team": "fraud", "request_id": f"of-{name}", "status": Status.IN_PROGRESS,
        "instances": {}, "started_at": ago(30),
    }  # fmt: skip
    return RunningEntry(tuning_job_name=name, **(given | fields))


def stopping(name: str, **fields: Any) -> RunningEntry:
    return job(name, status=Status.STOPPING, **fields)


def seen(*active: RunningEntry, **fields: Any) -> Observation:
    given: dict[str, Any] = {
        "listed": {
            each.tuning_job_name: TuningJob(name=each.tuning_job_name, status=Status.IN_PROGRESS)
            for each in active
        },
        "active": active, "ended": (), "missing": (),
    }  # fmt: skip
    return Observation(**(given | fields))


def decided(*names: str) -> Decision:
    head = queued(*FOR)
    running = {name: RunningJob(tuning_job_name=name, team="fraud", instances={}) for name in names}
    return Decision(
        plan=Plan(
            starts=(), waits=(), stops=tuple(Stop(job=each, head=head) for each in running.values())
        ),
        entries={}, queues={}, whole=frozenset(), teams_on_hold=frozenset(), running_jobs=(),
        capacity=Capacity(tuning_jobs=1), budgets={},
    )  # fmt: skip


def stopper(ledger: Ledger, service: Service) -> Stopper:
    requests: Any = ledger
    tuning: Any = service
    return Stopper(requests=requests, services={HOME: tuning}, clock=lambda: NOON, owner="me")


def test_a_cancelled_tuning_job_is_stopped_until_sagemaker_stops_it() -> None:
    service = Service()
    listed = {
        "a": TuningJob(name="a", status=Status.IN_PROGRESS),
        "b": TuningJob(name="b", status=Status.STOPPING),
        "d": TuningJob(name="d", status=Status.IN_PROGRESS),
        "e": TuningJob(name="e", status=Status.IN_PROGRESS),
    }
    jobs = [stopping("a"), stopping("b"), stopping("c"), job("d"), stopping("e", preempted_for=FOR)]
    stopper(Ledger(), service).stop_cancelled(seen(*jobs, listed=listed), ActOutcome())
    assert service.stopped == ["a"]


def test_a_request_cancelled_before_its_tuning_job_was_created_has_ended() -> None:
    ledger, outcome = Ledger(), ActOutcome()
    missing = [stopping("a"), job("b"), stopping("c", preempted_for=FOR)]
    stopper(ledger, Service()).end_before_creation(seen(missing=missing), outcome)
    assert ledger.finished == [
        Ending(
            team="fraud", request_id="of-a", was=(Status.STOPPING,), status=Status.CANCELLED,
            ended_at=NOON, tuning_job_name="a",
            reason="cancelled before its tuning job was created",
        )
    ]  # fmt: skip
    (change,) = outcome.changes
    assert (change.previous_status, change.status) == (Status.STOPPING, Status.CANCELLED)


def test_a_preemption_is_written_before_the_tuning_job_is_stopped() -> None:
    ledger, service, outcome = Ledger(), Service(), ActOutcome()
    stopper(ledger, service).preempt(seen(job("a"), job("b")), decided("b"), outcome)
    assert ledger.owner == "me"
    assert ledger.preempted == [
        Preemption(
            team="fraud", request_id="of-b", tuning_job_name="b", preempted_for=FOR,
            already_stopped=2,
        )
    ]  # fmt: skip
    assert service.stopped == ["b"]
    assert outcome.preempted == [("fraud", "of-b")]
    (change,) = outcome.changes
    assert (change.previous_status, change.status) == (Status.IN_PROGRESS, Status.STOPPING)
    assert (change.tuning_job_name, change.at) == ("b", NOON)
    assert change.reason == "preempted by vision/v; it resumes later"


def test_a_tuning_job_on_another_target_is_stopped_there_and_told_with_its_target() -> None:
    ledger, home, there, outcome = Ledger(), Service(), Service(), ActOutcome()
    services: Any = {HOME: home, "eu": there}
    of = replace(stopper(ledger, home), services=services)
    of.preempt(seen(job("a", target="eu")), decided("a"), outcome)
    assert [each.target for each in ledger.preempted] == ["eu"]
    assert (home.stopped, there.stopped) == ([], ["a"])
    of.stop_cancelled(seen(stopping("b", target="eu")), outcome)
    assert (home.stopped, there.stopped) == ([], ["a", "b"])
    of.end_before_creation(seen(missing=[stopping("c", target="eu")]), outcome)
    assert [each.target for each in ledger.finished] == ["eu"]
    assert [each.target for each in outcome.changes] == ["eu", "eu"]


def test_a_target_that_does_not_answer_keeps_no_other_tuning_job_from_being_stopped() -> None:
    home, there, outcome = Service(), Service(Unavailable("no answer")), ActOutcome()
    services: Any = {HOME: home, "eu": there}
    of = replace(stopper(Ledger(), home), services=services)
    jobs = [stopping("a", target="eu"), stopping("b", target="gone"), stopping("c")]
    of.stop_cancelled(seen(*jobs), outcome)
    assert home.stopped == ["c"]
    assert outcome.problems == [
        "fraud/of-a: no answer", "fraud/of-b: the settings have no target 'gone'"
    ]  # fmt: skip
    with pytest.raises(Unavailable):
        stopper(Ledger(), there).stop_cancelled(seen(stopping("d")), outcome)


def test_an_interrupted_preemption_is_repeated_and_not_reported_again() -> None:
    ledger, service, outcome = Ledger(), Service(), ActOutcome()
    stopper(ledger, service).preempt(seen(stopping("a", preempted_for=FOR)), decided(), outcome)
    assert [each.tuning_job_name for each in ledger.preempted] == service.stopped == ["a"]
    assert (outcome.preempted, outcome.changes) == ([], [])


@pytest.mark.parametrize("status", [None, Status.STOPPING, Status.COMPLETED])
def test_a_tuning_job_that_no_longer_runs_is_not_preempted(status: Status | None) -> None:
    ledger, service, outcome = Ledger(), Service(a=status), ActOutcome()
    stopper(ledger, service).preempt(seen(job("a")), decided("a"), outcome)
    assert (ledger.preempted, service.stopped, outcome.changes) == ([], [], [])
    assert ledger.owner == "", "nothing is written"


def test_a_request_that_has_changed_keeps_running() -> None:
    ledger, service, outcome = Ledger(("fraud", "of-a")), Service(), ActOutcome()
    stopper(ledger, service).preempt(seen(job("a"), job("b")), decided("a", "b"), outcome)
    assert service.stopped == ["b"]
    assert outcome.preempted == [("fraud", "of-b")]


@pytest.mark.parametrize("error", [LeaseLost("another one has it"), Unavailable("no answer")])
def test_without_the_ledger_nothing_is_stopped_and_the_cycle_says_so(error: Exception) -> None:
    ledger, service, outcome = Ledger(error=error), Service(), ActOutcome()
    stopper(ledger, service).preempt(seen(job("a")), decided("a"), outcome)
    assert (service.stopped, outcome.changes) == ([], [])
    assert outcome.problems == [f"preemption: {error}"]


def test_a_stop_that_fails_is_reported_after_what_was_written() -> None:
    ledger, outcome = Ledger(), ActOutcome()
    stopper(ledger, Service(Unavailable("no answer"))).preempt(
        seen(job("a")), decided("a"), outcome
    )
    assert outcome.preempted == [("fraud", "of-a")]
    assert outcome.problems == ["preemption: no answer"]
