"""The tuning jobs that use capacity, as a plan sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import RunningEntry, Status
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.cycle.decision.running_jobs import OTHER_JOBS, running_jobs
from hpo_dispatcher.cycle.outcome import Observation
from hpo_dispatcher.ports import TuningJob, TuningJobDetail, Unavailable
from hpo_dispatcher.scheduling.history.run_times import RunTimes
from hpo_dispatcher.scheduling.snapshot import RunningJob
from hpoq.simulation.in_memory_ledger import MemoryDocuments
from tests.support.scheduling_scene import G5, M5, NOON, ago


class Described:
    """A SageMaker that says which instances the tuning jobs of others use."""

    def __init__(self, **instances: dict[str, int]) -> None:
        self.known = instances
        self.asked: list[str] = []

    def instances(self, name: str) -> dict[str, int]:
        self.asked.append(name)
        return self.known[name]


def listed(*names: str, **fields: Any) -> dict[str, TuningJob]:
    given: dict[str, Any] = {"status": Status.IN_PROGRESS}
    return {name: TuningJob(name=name, **(given | fields)) for name in names}


def ours(name: str, **fields: Any) -> RunningEntry:
    given: dict[str, Any] = {
        "team": "fraud", "request_id": f"of-{name}", "status": Status.IN_PROGRESS,
        "instances": {M5: 4}, "started_at": ago(30), "priority": 7, "resume_blocker": "",
    }  # fmt: skip
    return RunningEntry(tuning_job_name=name, **(given | fields))


def jobs(
    seen: dict[str, Any],
    tuning: Described | None = None,
    documents: MemoryDocuments | None = None,
    **targets: Any,
) -> list[RunningJob]:
    given: dict[str, Any] = {"listed": {}, "active": (), "ended": (), "missing": ()}
    described: Any = tuning or Described()
    observed = Observation(**(given | seen))
    return running_jobs(
        observed, documents or MemoryDocuments(), {HOME: described, **targets}, RunTimes(), NOON
    )


def test_a_job_of_ours_is_known_from_the_ledger() -> None:
    entry = ours("a", resumed=True, preempted_for=("vision", "v"), expected_seconds=3600)
    (job,) = jobs({"listed": listed("a"), "active": [entry]})
    assert (job.team, job.request_id, job.priority) == ("fraud", "of-a", 7)
    assert (job.instances, job.started_at, job.expected_end) == ({M5: 4}, ago(30), ago(-30))
    assert (job.resume_blocker, job.resumed, job.stopping) == ("", True, False)
    assert job.preempted_for == ("vision", "v")


def test_a_job_that_is_not_listed_yet_uses_capacity_and_is_not_stopped() -> None:
    (job,) = jobs({"active": [ours("a")]})
    assert job.instances == {M5: 4}
    assert job.resume_blocker == "it is about to be created"


def test_an_ended_job_uses_no_capacity_any_more() -> None:
    entry = ours("a")
    detail = TuningJobDetail(
        name="a", status=Status.COMPLETED, counters={}, best=None, ended_at=NOON, failure_reason=""
    )
    assert jobs({"listed": listed("a"), "active": [entry], "ended": [(entry, detail)]}) == []


def test_a_job_is_stopping_if_sagemaker_or_the_ledger_says_so() -> None:
    stopping = {"status": Status.STOPPING}
    found = jobs(
        {
            "listed": listed("a", **stopping) | listed("b", "c") | listed("d", **stopping),
            "active": [ours("a"), ours("b", **stopping), ours("c")],
        },
        Described(d={}),
    )
    assert [(job.tuning_job_name, job.stopping) for job in found] == [
        ("a", True), ("b", True), ("c", False), ("d", True)
    ]  # fmt: skip


def test_a_job_with_few_training_jobs_left_uses_fewer_instances() -> None:
    draining = listed("a", "b", parallel=4, training_jobs_left=1)
    found = jobs({"listed": draining, "active": [ours("a")]}, Described(b={G5: 8}))
    assert [job.instances for job in found] == [{M5: 1}, {G5: 2}]


def test_jobs_of_others_are_described_once_and_forgotten_once_they_are_gone() -> None:
    documents, tuning = MemoryDocuments(), Described(x={M5: 2}, y={G5: 1})
    (x,) = jobs({"listed": listed("x")}, tuning, documents)
    assert (x.team, x.request_id, x.instances) == (None, "", {M5: 2})
    assert [job.instances for job in jobs({"listed": listed("x", "y")}, tuning, documents)] == [
        {M5: 2}, {G5: 1}
    ]  # fmt: skip
    assert tuning.asked == ["x", "y"]
    jobs({"listed": listed("y", "z")}, Described(z={}), documents)
    assert json.loads(documents.get(OTHER_JOBS) or "") == {"y": {G5: 1}, "z": {}}


def test_an_account_without_jobs_of_others_reads_no_document() -> None:
    documents = MemoryDocuments()
    jobs({"listed": listed("a"), "active": [ours("a")]}, documents=documents)
    assert documents.calls == {}


def test_jobs_are_sorted_by_name() -> None:
    found = jobs({"listed": listed("c", "a"), "active": [ours("b")]}, Described(a={}, c={}))
    assert [job.tuning_job_name for job in found] == ["a", "b", "c"]


class Unanswered:
    """A SageMaker that does not answer."""

    def instances(self, name: str) -> dict[str, int]:
        raise Unavailable(f"{name}: no route to host")


def test_jobs_of_others_on_a_target_are_described_there_by_their_own_name() -> None:
    here, there = Described(x={M5: 2}), Described(x={G5: 1})
    found = jobs({"listed": listed("x", "eu/x")}, here, eu=there)
    assert [(job.tuning_job_name, job.target, job.instances) for job in found] == [
        ("eu/x", "eu", {G5: 1}), ("x", HOME, {M5: 2})
    ]  # fmt: skip
    assert (here.asked, there.asked) == (["x"], ["x"])


def test_jobs_of_others_that_a_target_does_not_describe_are_described_in_a_later_cycle() -> None:
    documents, here = MemoryDocuments(), Described(x={M5: 2})
    seen = {"listed": listed("eu/x", "removed/x", "x")}
    found = jobs(seen, here, documents, eu=Unanswered())
    assert [job.instances for job in found] == [{}, {}, {M5: 2}]
    again = jobs(seen, here, documents, eu=Described(x={G5: 1}))
    assert [job.instances for job in again] == [{G5: 1}, {}, {M5: 2}]
    assert here.asked == ["x"]


def test_without_an_answer_at_home_the_use_of_the_account_is_unknown() -> None:
    unanswered: Any = Unanswered()
    with pytest.raises(Unavailable):
        jobs({"listed": listed("x")}, unanswered)
