"""A tuning job is stopped to make room, and its request goes on: nothing is lost or run again."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.ports import Refused, Unavailable
from hpoq.simulation.sagemaker import STOPPING_TAKES, SimulatedJob, SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Workload
from tests.support.killed_dispatcher import Killed, KilledAt
from tests.support.unreliable_dispatcher import ample, unreliable

RANGES = {"lr": {"type": "continuous", "min": 0.1, "max": 1}}
TYPE = "ml.m5.large"
TEAMS = {"fraud": {"preemptible": True}, "vision": {"guaranteed_share": 0.5}}
OVERRIDES = {
    "TrainingJobDefinition": {"ResourceConfig": {"InstanceType": TYPE, "InstanceCount": 1}}
}
ROUND = 600  # seconds a training job of the model takes


class World(Simulation):
    """An account of few slots, seen by its teams; time passes when told to."""

    def __init__(self, slots: int = 1, teams: Mapping[str, Any] = TEAMS) -> None:
        super().__init__(Workload(name="w", arrivals=[], teams=dict(teams), slots=slots))
        self.seconds: dict[tuple[str, str], float] = {}
        self.sagemaker.run_of = lambda key: SimulatedRun(seconds=self.seconds.get(key, ROUND * 5))

    def request(self, team: str, request_id: str, **fields: Any) -> None:
        limits = {"max_training_jobs": 10, "max_parallel_training_jobs": 2}
        body = {
            "request_id": request_id,
            "hyperparameter_ranges": RANGES,
            "strategy": "Random",
            "resource_limits": limits,
            "overrides": OVERRIDES,
        } | fields  # fmt: skip
        self.queues.send(team, json.dumps(body))

    def cycle(self, dispatcher: Dispatcher | None = None) -> Summary:
        return (dispatcher or self.dispatcher).run(ample())

    def passes(self, seconds: float) -> None:
        self.clock.now += timedelta(seconds=seconds)
        self.sagemaker.end_due()

    def settle(self) -> None:
        """Until everything has ended."""
        for _ in range(200):
            with suppress(Killed, Unavailable, CycleIncomplete):
                self.cycle()
            if not self.requests.unended() and not self.queues.waiting():
                return
            self.passes(120)
        raise AssertionError("it never settles")

    def entry(self, request_id: str, team: str = "fraud") -> Entry:
        return self.requests.entries[team, request_id]

    def jobs(self, request_id: str) -> list[SimulatedJob]:
        """In the order they were created."""
        names = self.sagemaker.ended | self.sagemaker.running
        return [names[name] for name in self.sagemaker.created if names[name].key[1] == request_id]

    def ended(self, request_id: str) -> int:
        """Training jobs that have come to their own end, over all tuning jobs."""
        return sum(job.counters.get("Completed", 0) for job in self.jobs(request_id))

    def asked(self, name: str) -> dict[str, Any]:
        return dict(self.sagemaker.created[name])


def preempted(after: float = ROUND * 2 + 60) -> World:
    """fraud's request ran for two rounds of two; vision takes the slot that it had lent."""
    world = World(teams=TEAMS | {"vision": {"guaranteed_share": 1}})
    world.request("fraud", "long")
    world.cycle()
    world.passes(after)
    world.request("vision", "owed")
    world.cycle()
    return world


def test_borrowed_capacity_is_returned_and_the_request_resumes_with_what_is_left() -> None:
    world = preempted()
    assert world.entry("long").status is Status.STOPPING
    assert world.entry("long").preempted_for == ("vision", "owed")

    world.passes(60)
    world.cycle()
    long = world.entry("long")
    assert world.entry("owed", "vision").status is Status.IN_PROGRESS
    assert (long.status, dict(long.counters)) == (Status.QUEUED, {"Completed": 4})
    assert long.reason == (
        "preempted by vision/owed; 4 of 10 training jobs have ended, "
        "the others run when it is resumed"
    )
    world.settle()

    first, second = world.jobs("long")
    again = world.asked(second.name)
    limits = again["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 2}
    assert again["WarmStartConfig"] == {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": first.name}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    long = world.entry("long")
    assert (long.status, dict(long.counters)) == (Status.COMPLETED, {"Completed": 10})
    assert long.best is not None
    assert long.best.objective == 6, "the better of the two tuning jobs'"
    assert world.ended("long") == 10


def test_freed_capacity_goes_to_the_request_it_was_freed_for_whoevers_turn_it_is() -> None:
    world = World(teams={"fraud": {"preemptible": True}, "vision": {}})
    world.request("fraud", "long")
    world.cycle()
    world.request("vision", "in-turn")
    world.cycle()
    world.request("fraud", "urgent", priority=5)
    world.cycle()
    assert world.entry("long").preempted_for == ("fraud", "urgent")

    world.passes(60)
    world.cycle()

    assert world.entry("urgent").status is Status.IN_PROGRESS
    assert world.entry("in-turn", "vision").status is Status.QUEUED


def test_freed_capacity_goes_to_others_if_the_request_it_was_freed_for_is_gone() -> None:
    world = World(teams={"fraud": {"preemptible": True}, "vision": {}})
    world.request("fraud", "long")
    world.cycle()
    world.request("vision", "in-turn")
    world.request("fraud", "urgent", priority=5)
    world.cycle()
    world.queues.send("fraud", json.dumps({"action": "cancel", "request_id": "urgent"}))

    world.passes(60)
    world.cycle()

    assert world.entry("urgent").status is Status.CANCELLED
    assert world.entry("in-turn", "vision").status is Status.IN_PROGRESS
    assert world.entry("long").status is Status.QUEUED


def test_a_resumed_request_that_sagemaker_refuses_keeps_its_results_and_is_not_dead_lettered() -> (
    None
):
    """A resubmission of a dead letter would train again what has ended."""
    world = preempted()
    world.passes(60)
    world.cycle()
    tuning = world.sagemaker
    text = "Amazon SageMaker can't find a tuning job"

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(tuning, name)

        def create(self, api_request: Mapping[str, Any]) -> Any:
            return Refused(text) if "WarmStartConfig" in api_request else tuning.create(api_request)

    refusing: Any = Refusing()
    world.dispatcher = replace(world.dispatcher, tuning=refusing)
    world.settle()

    long = world.entry("long")
    assert (long.status, dict(long.counters)) == (Status.STOPPED, {"Completed": 4})
    assert long.reason.startswith("could not resume: ")
    assert text in long.reason
    assert world.queues.dead_letters == []


def test_a_preempted_request_does_not_resume_from_a_tuning_job_that_is_being_deleted() -> None:
    world = preempted()
    world.passes(60)
    tuning = world.sagemaker

    class BeingDeleted:
        def __getattr__(self, name: str) -> Any:
            return getattr(tuning, name)

        def describe(self, name: str) -> Any:
            detail = tuning.describe(name)
            return replace(detail, deleted=True) if detail else None

    deleted: Any = BeingDeleted()
    world.cycle(replace(world.dispatcher, tuning=deleted))
    world.settle()

    long = world.entry("long")
    assert (long.status, dict(long.counters)) == (Status.STOPPED, {"Completed": 4, "Stopped": 2})
    assert len(world.jobs("long")) == 1


def test_every_change_is_published() -> None:
    world = preempted()
    world.settle()
    told = [
        (change.previous_status, change.status, change.tuning_job_name)
        for change in world.events.published
        if change.request_id == "long"
    ]
    first, second = (job.name for job in world.jobs("long"))
    assert told == [
        (None, Status.QUEUED, ""),
        (Status.QUEUED, Status.IN_PROGRESS, first),
        (Status.IN_PROGRESS, Status.STOPPING, first),
        (Status.STOPPING, Status.QUEUED, first),
        (Status.QUEUED, Status.IN_PROGRESS, second),
        (Status.IN_PROGRESS, Status.COMPLETED, second),
    ]


def test_without_the_setting_the_owner_waits_for_the_end() -> None:
    world = World(teams={"fraud": {}, "vision": {"guaranteed_share": 1}})
    world.request("fraud", "long")
    world.cycle()
    world.request("vision", "owed")
    world.settle()
    assert len(world.jobs("long")) == 1
    assert world.sagemaker.calls["sagemaker:Stop"] == 0


def test_a_request_that_had_finished_nothing_starts_cold() -> None:
    world = preempted(after=60)
    world.settle()
    first, second = world.jobs("long")
    assert "WarmStartConfig" not in world.asked(second.name)
    assert first.counters == {"Completed": 0, "Stopped": 2}
    assert world.ended("long") == 10


def test_a_request_that_finished_all_by_itself_meanwhile_is_not_begun_again() -> None:
    world = preempted()
    (job,) = world.jobs("long")
    job.counters = {"Completed": 10}  # the stop came too late
    world.settle()
    assert len(world.jobs("long")) == 1
    assert world.entry("long").status is Status.COMPLETED


def test_what_was_stopped_early_has_ended_and_what_the_stop_interrupted_has_not() -> None:
    world = World(teams=TEAMS | {"vision": {"guaranteed_share": 1}})
    world.request("fraud", "long")
    world.cycle()
    (job,) = world.jobs("long")
    job.counters = {"Completed": 2, "Stopped": 3}
    world.request("vision", "owed")
    world.cycle()
    job.counters = {"Completed": 2, "Stopped": 5}
    world.passes(60)
    world.cycle()
    long = world.entry("long")
    assert (dict(long.counters), long.training_jobs_left) == ({"Completed": 2, "Stopped": 3}, 5)
    assert long.earlier[0].interrupted == 2


def test_a_random_seed_is_not_used_twice() -> None:
    world = World(teams=TEAMS | {"vision": {"guaranteed_share": 1}})
    seeded = OVERRIDES | {"HyperParameterTuningJobConfig": {"RandomSeed": 7}}
    world.request("fraud", "long", overrides=seeded)
    world.cycle()
    world.passes(ROUND + 60)
    world.request("vision", "owed")
    world.settle()
    seeds = [
        world.asked(job.name)["HyperParameterTuningJobConfig"]["RandomSeed"]
        for job in world.jobs("long")
    ]
    assert seeds == [7, 8]


def test_a_grid_is_not_stopped_and_the_wait_reason_says_why() -> None:
    world = World(teams=TEAMS | {"vision": {"guaranteed_share": 1}})
    values = {"lr": {"type": "categorical", "values": [1, 2, 3]}}
    limits = {"max_parallel_training_jobs": 1}
    world.request(
        "fraud", "grid", hyperparameter_ranges=values, strategy="Grid", resource_limits=limits
    )
    world.cycle()
    world.request("vision", "owed")
    world.cycle()
    (waiting,) = json.loads(world.documents.get("capacity") or "{}")["waiting"]
    assert waiting["reason"].endswith("; fraud/grid is not stopped: a Grid search would start over")
    assert world.entry("grid").status is Status.IN_PROGRESS


def test_a_higher_priority_takes_its_teams_slot_and_the_lower_one_comes_back_to_its_place() -> None:
    world = World()
    world.request("fraud", "low")
    world.cycle()
    world.passes(ROUND + 60)
    world.request("fraud", "later")
    world.request("fraud", "urgent", priority=5)
    world.cycle()
    world.passes(60)
    world.cycle()
    assert world.entry("urgent").status is Status.IN_PROGRESS
    assert [head.request_id for head in world.requests.heads("fraud", 9)] == ["low", "later"]
    world.settle()
    assert [world.ended(each) for each in ("low", "later", "urgent")] == [10, 10, 10]
    assert [len(world.jobs(each)) for each in ("low", "later", "urgent")] == [2, 1, 1]


def test_a_cancel_while_it_stops_is_final() -> None:
    world = preempted()
    world.queues.send("fraud", json.dumps({"action": "cancel", "request_id": "long"}))
    world.settle()
    assert len(world.jobs("long")) == 1
    long = world.entry("long")
    assert (long.status, long.counters["Completed"]) == (Status.STOPPED, 4)


def test_a_cancel_while_it_waits_to_go_on_keeps_what_it_found() -> None:
    world = preempted()
    world.passes(60)
    world.cycle()
    world.queues.send("fraud", json.dumps({"action": "cancel", "request_id": "long"}))
    world.settle()
    long = world.entry("long")
    assert (long.status, dict(long.counters)) == (Status.STOPPED, {"Completed": 4})
    assert long.best is not None
    assert len(world.jobs("long")) == 1


def test_a_child_starts_warm_from_all_tuning_jobs_of_its_parent() -> None:
    world = preempted()
    world.request("fraud", "child", warm_start_from=["long"])
    world.settle()
    first, second = (job.name for job in world.jobs("long"))
    (child,) = world.jobs("child")
    parents = world.asked(child.name)["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    assert [each["HyperParameterTuningJobName"] for each in parents] == [second, first]


def test_what_it_used_before_the_stop_counts_towards_its_teams_budget_once() -> None:
    world = World(
        teams={
            "fraud": {"preemptible": True, "monthly_instance_hours": 1000},
            "vision": {"guaranteed_share": 1},
        }
    )
    world.request("fraud", "long")
    world.cycle()
    world.passes(ROUND * 2 + 60)
    world.request("vision", "owed")
    world.cycle()
    world.passes(60)
    world.cycle()
    used = world.entry("long").earlier[0].instance_seconds
    assert used == 2 * (ROUND * 2 + 60 + STOPPING_TAKES.total_seconds())
    assert world.requests.spent("2026-01")["fraud"] == used
    world.settle()
    total = sum(2 * (job.ends - job.began).total_seconds() for job in world.jobs("long"))
    assert world.requests.spent("2026-01")["fraud"] == pytest.approx(total)


POINTS = [
    ("tuning", "describe", 1),
    ("tuning", "describe", 2),
    ("requests", "preempt", 1),
    ("tuning", "stop", 1),
    ("requests", "get_all", 1),
    ("requests", "finish", 1),
    ("requests", "finish", 2),
    ("requests", "start", 1),
    ("requests", "start", 2),
    ("tuning", "create", 1),
    ("tuning", "create", 2),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "method", "nth"), POINTS)
def test_killed_anywhere_on_the_way_it_neither_loses_nor_doubles(
    port: str, method: str, nth: int, after: bool
) -> None:
    world = World(teams=TEAMS | {"vision": {"guaranteed_share": 1}})
    world.request("fraud", "long")
    world.cycle()
    world.passes(ROUND * 2 + 60)
    world.request("vision", "owed")
    dying: Any = KilledAt(getattr(world.dispatcher, port), method, after=after, nth=nth)
    doomed = replace(world.dispatcher, owner="doomed", **{port: dying})
    killed = False
    for _ in range(100):
        try:
            world.cycle(doomed)
        except Killed:
            killed = True
            break
        world.passes(60)
    assert killed, "the way leads past this call"
    world.clock.now += timedelta(hours=1)  # its lease runs out
    world.sagemaker.end_due()
    world.queues.reappear()
    world.settle()

    assert world.ended("long") == 10 or len(world.jobs("long")) == 1
    assert world.entry("long").status is Status.COMPLETED
    assert sum(world.entry("long").counters.values()) == 10
    assert world.entry("owed", "vision").status is Status.COMPLETED
    assert len(world.jobs("long")) <= 2
    assert len(world.jobs("owed")) == 1


@pytest.mark.parametrize("seed", [*range(1, 6), 7, 8, 9])  # each of them leads to a stop
def test_two_failing_dispatchers_stop_and_go_on_and_every_request_gets_its_training_jobs_once(
    seed: int,
) -> None:
    teams = {
        "fraud": {"preemptible": True},
        "vision": {"guaranteed_share": 0.5, "preemptible": True},
    }
    world, draw = World(slots=3, teams=teams), random.Random(seed)
    both = [unreliable(world, seed * 2 + which, share=0.04) for which in range(2)]
    wanted = [("fraud", f"f{n}") for n in range(6)] + [("vision", f"v{n}") for n in range(6)]
    draw.shuffle(wanted)
    sent: list[tuple[str, str]] = []
    for step in range(120):
        if wanted and step % 2 == 0:
            sent.append(wanted.pop())
            world.seconds[sent[-1]] = draw.choice([2000, 10_000])
            world.request(*sent[-1], priority=draw.randint(0, 2))
        with suppress(Killed, Unavailable, CycleIncomplete):
            world.cycle(both[step % 2])
        if step % 5 == 0:  # a killed one's lease has run out
            world.passes(1000)
            world.queues.reappear()
        world.passes(draw.choice([20, 120, 400]))
        assert len(world.sagemaker.running) <= 3
    world.clock.now += timedelta(hours=1)
    world.sagemaker.end_due()
    world.queues.reappear()
    world.settle()

    for team, request_id in sent:
        entry = world.entry(request_id, team)
        assert entry.status is Status.COMPLETED
        assert world.ended(request_id) == sum(entry.counters.values()) == 10
        assert len(world.jobs(request_id)) == 1 + len(entry.earlier) <= 6
    assert world.sagemaker.calls["sagemaker:Stop"] > 0
    assert world.requests.running() == []


def test_two_teams_requests_of_one_id_are_both_counted_in_line_again() -> None:
    teams = {
        "fraud": {"preemptible": True},
        "vision": {"preemptible": True},
        "risk": {"guaranteed_share": 1},
    }
    world = World(slots=2, teams=teams)
    for team in ("fraud", "vision"):
        world.request(team, "same")
    world.cycle()
    world.passes(60)
    for request_id in ("one", "two"):
        world.request("risk", request_id)
    world.cycle()
    world.passes(120)
    world.cycle()

    lines = json.loads(world.documents.get("capacity") or "")["queues"]
    for team in ("fraud", "vision"):
        assert world.entry("same", team).status is Status.QUEUED
        assert lines[team]["queued"] == 1
