"""Cycles over three targets: where requests run, and what a fault of one target delays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from hpo_dispatcher.contract.aws_limits import TUNING_JOBS_QUOTA, QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import CapacityDocument, WaitingRequest, WaitKind
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.cycle.outcome import Decision, Observation, Summary
from hpo_dispatcher.observability.metrics import of_cycle
from hpo_dispatcher.ports import AccountFault, AtLimit, Creation, TuningJob, Unavailable
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import ample_time

HOME, SECOND, THIRD = "home", "target-2", "target-3"
ALL = (HOME, SECOND, THIRD)


class Faulty:
    """SageMaker of a target with a fault that a test switches on and off."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.down = False
        self.answer_lost = False  # a create takes effect, and its answer is lost
        self.killed = False  # this process ends before the create
        self.creation: Creation | None = None

    def __getattr__(self, name: str) -> Any:
        if self.down:
            raise Unavailable(f"sagemaker:{name}: no route to host")
        return getattr(self.service, name)

    def in_progress(self) -> Sequence[TuningJob]:
        if self.down:
            raise Unavailable("sagemaker:ListHyperParameterTuningJobs: no route to host")
        jobs: Sequence[TuningJob] = self.service.in_progress()
        return jobs

    def create(self, api_request: Mapping[str, Any]) -> Creation:
        if self.killed:
            raise KeyboardInterrupt
        if self.down:
            raise Unavailable("sagemaker:CreateHyperParameterTuningJob: no route to host")
        if self.creation:
            return self.creation
        created: Creation = self.service.create(api_request)
        if self.answer_lost:
            raise Unavailable("sagemaker:CreateHyperParameterTuningJob: connection reset")
        return created


class Account:
    """A deployment with three targets."""

    def __init__(self, slots: int = 3, **teams: dict[str, Any]) -> None:
        workload = Workload(
            name="w", arrivals=[], teams=teams or {"a": {}}, slots=slots, targets=3
        )  # fmt: skip
        self.simulation = Simulation(workload)
        services = self.simulation.targets.services
        self.services = {name: Faulty(service) for name, service in services.items()}
        for service in services.values():
            service.run_of = lambda _: _LONG
        self.dispatcher = self.of_settings(ALL)

    def of_settings(self, targets: Sequence[str]) -> Dispatcher:
        built = self.simulation.dispatcher
        tuning: Any = self.services[HOME]
        others = {
            name: replace(each, tuning=self.services[name])  # type: ignore[arg-type]
            for name, each in built.targets.items()
            if name in targets
        }
        known = {n: each for n, each in built.builder.others.items() if n in targets}
        builder = replace(built.builder, others=known)
        return replace(built, tuning=tuning, targets=others, builder=builder)

    def send(self, request_id: str, *targets: str, **fields: Any) -> None:
        self.simulation.send(
            Arrival(at=0, team="a", request_id=request_id, seconds=600, targets=targets, **fields)
        )

    def cycle(self) -> str:
        """Run a cycle and return its problems."""
        try:
            self.dispatcher.run(ample_time())
        except CycleIncomplete as error:
            return str(error)
        return ""

    def later(self, minutes: float = 11) -> str:
        self.simulation.clock.now += timedelta(minutes=minutes)
        for service in self.services.values():
            if not service.down:
                service.service.end_due()
        return self.cycle()

    def entry(self, request_id: str) -> Entry:
        return self.simulation.requests.entries["a", request_id]

    def where(self) -> dict[str, str]:
        """Return the target of each tuning job that exists, by request id."""
        found = [
            (job.key[1], name)
            for name, service in self.services.items()
            for job in [*service.service.running.values(), *service.service.ended.values()]
            if job.key
        ]
        assert max(Counter(request for request, _ in found).values(), default=1) == 1
        return dict(found)

    def document(self) -> CapacityDocument:
        document = CapacityDocument.parse(self.simulation.documents.get(CAPACITY_DOCUMENT))
        assert document
        return document

    def waiting(self, request_id: str) -> WaitingRequest:
        (found,) = [each for each in self.document().waiting if each.request_id == request_id]
        return found


class _Long:
    seconds, fails = 600.0, False


_LONG: Any = _Long()


def test_requests_run_where_they_may_and_the_ledger_names_the_target() -> None:
    account = Account()
    account.send("h")
    account.send("s", SECOND)
    account.send("t", *ALL)
    assert account.cycle() == ""
    assert account.where() == {"h": HOME, "s": SECOND, "t": THIRD}
    assert account.entry("s").target == SECOND
    assert (account.entry("h").target, account.entry("h").targets) == (HOME, (HOME,))
    assert account.later() == ""
    assert {account.entry(each).status for each in ("h", "s", "t")} == {Status.COMPLETED}


def test_each_target_has_its_own_limit() -> None:
    account = Account(slots=2)
    for number in range(8):
        account.send(f"r{number}", *ALL)
    account.cycle()
    assert Counter(account.where().values()) == dict.fromkeys(ALL, 2)
    document = account.document()
    assert document.tuning_jobs.in_use == 2
    assert {name: each.tuning_jobs.in_use for name, each in document.targets.items()} == {
        SECOND: 2, THIRD: 2,
    }  # fmt: skip


@pytest.mark.parametrize("down", ALL)
def test_a_target_that_does_not_answer_delays_only_what_must_run_there(down: str) -> None:
    account = Account()
    account.services[down].down = True
    for name in ALL:
        account.send(f"only-{name}", name)
    account.send("any", *ALL)
    problem = account.cycle()
    assert f"no answer from target {down}" in problem
    running = account.where()
    assert running.pop("any") != down
    assert running == {f"only-{name}": name for name in ALL if name != down}
    waits = account.waiting(f"only-{down}")
    assert (waits.reason_kind, waits.targets) == (WaitKind.TARGET, (down,))
    assert "no route to host" in waits.reason
    assert [*account.document().problems] == [down]
    account.services[down].down = False
    assert account.cycle() == ""
    assert account.where()[f"only-{down}"] == down


def test_no_target_answers() -> None:
    account = Account()
    for service in account.services.values():
        service.down = True
    account.send("any", *ALL)
    with pytest.raises(Unavailable):
        account.dispatcher.run(ample_time())
    for service in account.services.values():
        service.down = False
    account.cycle()
    assert account.where() == {"any": HOME}


def test_jobs_on_a_target_that_does_not_answer_still_count_and_end_later() -> None:
    account = Account(slots=1)
    account.send("first", SECOND)
    account.cycle()
    account.services[SECOND].down = True
    account.send("second", SECOND)
    account.later()
    assert account.entry("first").status is Status.IN_PROGRESS
    assert account.entry("second").status is Status.QUEUED
    account.services[SECOND].down = False
    account.later()
    assert account.entry("first").status is Status.COMPLETED
    assert account.where() == {"first": SECOND, "second": SECOND}


@pytest.mark.parametrize("down_meanwhile", [False, True])
def test_a_promised_request_is_created_on_the_promised_target_only(down_meanwhile: bool) -> None:
    """Killed between the promise and the create; every other target is free."""
    account = Account()
    account.services[SECOND].killed = True
    account.send("r", SECOND, THIRD)
    with suppress(KeyboardInterrupt):
        account.dispatcher.run(ample_time())
    assert (account.entry("r").status, account.entry("r").target) == (Status.IN_PROGRESS, SECOND)
    account.services[SECOND].killed = False
    if down_meanwhile:
        account.services[SECOND].down = True
        for _ in range(3):
            account.later(1)
            assert account.where() == {}
            assert account.entry("r").status is Status.IN_PROGRESS
        account.services[SECOND].down = False
    assert account.later(1) == ""
    assert account.where() == {"r": SECOND}
    account.later()
    assert account.entry("r").status is Status.COMPLETED


def test_a_create_whose_answer_is_lost_is_looked_for_on_its_target() -> None:
    account = Account()
    account.services[SECOND].answer_lost = True
    account.send("r", SECOND, THIRD)
    account.cycle()
    account.services[SECOND].answer_lost = False
    account.services[SECOND].down = True
    account.later(1)
    account.services[SECOND].down = False
    assert account.later(1) == ""
    assert account.where() == {"r": SECOND}
    account.later()
    assert account.entry("r").status is Status.COMPLETED


def test_a_fault_of_one_account_sends_the_request_to_another_target() -> None:
    account = Account()
    account.services[SECOND].creation = AccountFault("Could not assume role")
    account.send("r", SECOND, THIRD)
    account.send("must", SECOND)
    account.cycle()
    account.later(1)
    assert account.where() == {"r": THIRD}
    assert account.waiting("must").reason_kind is WaitKind.ACCOUNT_FAULT
    account.services[SECOND].creation = None
    account.later()
    assert account.where() == {"r": THIRD, "must": SECOND}


def test_targets_with_the_same_fault_are_not_tried_in_turn() -> None:
    account = Account()
    for name in (SECOND, THIRD):
        account.services[name].creation = AccountFault("Could not assume role")
    account.send("r", SECOND, THIRD)
    for _ in range(5):
        account.later(1)
    calls = [account.services[name].service.calls["sagemaker:Create"] for name in (SECOND, THIRD)]
    assert calls == [0, 0], "the faulty port answered"
    assert account.waiting("r").reason_kind is WaitKind.ACCOUNT_FAULT
    delay = account.simulation.documents.get("scheduler-memory")
    assert delay
    assert '"tries":1' in delay


def test_a_quota_of_one_target_is_no_quota_of_another() -> None:
    account = Account()
    quota = QuotaExceeded(name=TUNING_JOBS_QUOTA, limit=1, in_use=1, requested=1)
    account.services[SECOND].creation = AtLimit("too many", quota)
    account.send("must", SECOND)
    account.send("r", SECOND, THIRD)
    account.cycle()
    account.later(1)
    assert account.where() == {"r": THIRD}
    assert account.waiting("must").reason_kind is WaitKind.TUNING_JOBS


def test_a_warm_start_runs_where_its_parent_ran() -> None:
    account = Account()
    account.send("parent", THIRD)
    account.cycle()
    child = {
        "request_id": "child", "targets": [*ALL], "warm_start_from": ["parent"],
        "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.1, "max": 1}},
        "resource_limits": {"max_training_jobs": 1, "max_parallel_training_jobs": 1},
    }  # fmt: skip
    account.simulation.queues.send("a", json.dumps(child))
    other = child | {"request_id": "elsewhere", "targets": [HOME]}
    account.simulation.queues.send("a", json.dumps(other))
    account.cycle()
    account.later()
    account.cycle()
    assert account.where()["child"] == THIRD
    assert account.entry("elsewhere").status is Status.CANCELLED
    assert account.entry("elsewhere").reason == (
        "warm start from parent: it ran on target-3, where this one may not"
    )


def test_a_target_that_is_not_in_the_settings_any_more() -> None:
    account = Account()
    account.send("runs", SECOND)
    account.cycle()
    account.send("waits", SECOND)
    account.send("moves", SECOND, THIRD)
    whole, account.dispatcher = account.dispatcher, account.of_settings([HOME, THIRD])
    problem = account.cycle()
    assert "the settings have no target 'target-2'" in problem
    assert account.entry("runs").status is Status.IN_PROGRESS
    account.dispatcher = whole
    account.later()
    assert account.entry("runs").status is Status.COMPLETED


def test_a_queued_request_of_a_removed_target_waits_or_moves() -> None:
    account = Account(slots=1)
    account.send("first", SECOND)
    account.send("third", THIRD)
    account.cycle()
    account.send("later", SECOND)
    account.send("later-moves", SECOND, THIRD)
    account.cycle()
    assert set(account.where()) == {"first", "third"}
    account.dispatcher = account.of_settings([HOME, THIRD])
    account.later()
    assert account.waiting("later").reason_kind is WaitKind.TARGET
    assert "no target 'target-2' any more" in account.waiting("later").reason
    assert account.where()["later-moves"] == THIRD


def test_metrics_name_the_target_of_each_resource() -> None:
    account = Account(slots=2)
    measured: list[tuple[str, str, float]] = []

    def watch(summary: Summary, _: Observation, decided: Decision, *__: Any) -> None:
        for each in of_cycle(summary, decided):
            name, value = each.dimension or ("", "")
            if name == "resource":
                measured.append((each.name, value, each.value))

    account.dispatcher = replace(account.dispatcher, watch=watch)
    account.send("h")
    account.send("s", SECOND)
    account.send("t", SECOND)
    account.cycle()
    assert ("InProgress", "tuning jobs", 1) in measured
    assert ("InProgress", "target-2/tuning jobs", 2) in measured
    assert ("Free", "target-2/tuning jobs", 0) in measured
    assert ("InProgress", "target-2/ml.m5.large", 2) in measured
    assert ("InProgress", "ml.m5.large", 1) in measured


def test_a_metric_says_which_target_did_not_answer() -> None:
    account = Account()
    measured: dict[str, float] = {}

    def watch(summary: Summary, _: Observation, decided: Decision, *__: Any) -> None:
        found = [each for each in of_cycle(summary, decided) if each.name == "Unanswered"]
        measured.update({each.dimension[1]: each.value for each in found if each.dimension})

    account.dispatcher = replace(account.dispatcher, watch=watch)
    account.services[SECOND].down = True
    account.cycle()
    assert measured == {HOME: 0, SECOND: 1, THIRD: 0}


def test_events_name_the_target_once_there_is_a_tuning_job() -> None:
    account = Account()
    account.send("h")
    account.send("s", SECOND)
    account.send("stopped", SECOND)
    account.cycle()
    account.simulation.queues.send("a", json.dumps({"action": "cancel", "request_id": "stopped"}))
    account.cycle()
    account.later()
    found = [
        (change.request_id, str(change.status), change.target)
        for change in account.simulation.events.published
    ]
    assert sorted(found) == [
        ("h", "Completed", HOME),
        ("h", "InProgress", HOME),
        ("h", "Queued", HOME),
        ("s", "Completed", SECOND),
        ("s", "InProgress", SECOND),
        ("s", "Queued", HOME),
        ("stopped", "InProgress", SECOND),
        ("stopped", "Queued", HOME),
        ("stopped", "Stopped", SECOND),
        ("stopped", "Stopping", SECOND),
    ]


def test_the_document_has_only_those_quotas_of_other_targets_that_requests_need() -> None:
    """An account has hundreds, and the document is small."""
    account = Account(slots=1)
    many = {f"ml.m{n}.large": n for n in range(300)}
    quotas: Any = SimpleNamespace(training_instances=lambda _: many)
    targets = {n: replace(each, quotas=quotas) for n, each in account.dispatcher.targets.items()}
    account.dispatcher = replace(account.dispatcher, targets=targets)
    account.send("r", SECOND)
    account.cycle()
    account.send("waits", SECOND)
    account.cycle()
    assert account.document().targets[SECOND].quotas == {"ml.m5.large": 5}
    assert account.waiting("waits").reason_kind is WaitKind.TUNING_JOBS
