"""What a cycle has put into a queue itself starts in it, also while the ledger's index lags.

"Global secondary indexes are eventually consistent": DynamoDB developer guide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Key, Status
from hpo_dispatcher.cycle.outcome import IntakeOutcome
from hpoq.simulation.sagemaker import SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Workload
from tests.support.scheduling_scene import NOON
from tests.support.unreliable_dispatcher import ample

RANGES = {"lr": {"type": "continuous", "min": 0.1, "max": 1}}


class World(Simulation):
    """An account whose index shows no queued request."""

    def __init__(self, slots: int = 9) -> None:
        super().__init__(Workload(name="w", arrivals=[], teams={"fraud": {}}, slots=slots))
        self.sagemaker.run_of = lambda _: SimulatedRun(seconds=100_000)
        real = self.requests

        class Behind:
            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            def heads(self, team: str, count: int) -> Sequence[Entry]:
                return ()

        behind: Any = Behind()
        self.dispatcher = replace(self.dispatcher, requests=behind)

    def says(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.queues.send("fraud", json.dumps(message))

    def started(self) -> list[str]:
        before = {*self.sagemaker.created}
        self.dispatcher.run(ample())
        keys = {name: job.key for name, job in self.sagemaker.running.items()}
        return sorted(key[1] for name, key in keys.items() if key and name not in before)


def request(request_id: str, **fields: Any) -> dict[str, Any]:
    return {"request_id": request_id, "hyperparameter_ranges": RANGES, **fields}


def action(name: str, request_id: str) -> dict[str, Any]:
    return {"action": name, "request_id": request_id}


@pytest.mark.parametrize(
    ("messages", "starts"),
    [
        ([request("a")], ["a"]),
        ([request("a"), action("hold", "a")], []),
        ([request("a"), action("hold", "a"), action("release", "a")], ["a"]),
        ([request("a"), action("hold", "a"), action("release", "a"), action("hold", "a")], []),
        ([request("a", after=["b"])], []),
        ([request("a", after=["b"]), action("hold", "a"), action("release", "a")], []),
        ([request("a"), action("hold", "a"), request("b")], ["b"]),
    ],
)
def test_what_one_intake_accepts_starts_unless_it_is_on_hold_or_waits_for_others(
    messages: list[dict[str, Any]], starts: list[str]
) -> None:
    world = World()
    world.says(*messages)
    assert world.started() == starts


@pytest.mark.parametrize("on_hold", [False, True])
def test_a_request_whose_parent_has_ended_starts_at_once_unless_it_is_on_hold(
    on_hold: bool,
) -> None:
    world = World()
    world.says(request("parent"))
    assert world.started() == ["parent"]
    world.sagemaker.end(world.requests.entries["fraud", "parent"].tuning_job_name)
    assert world.started() == []
    assert world.requests.entries["fraud", "parent"].status is Status.COMPLETED

    world.says(request("child", after=["parent"]), *[action("hold", "child")] * on_hold)
    assert world.started() == ([] if on_hold else ["child"])

    child = world.requests.entries["fraud", "child"]
    assert (child.blocked, child.on_hold) == (False, on_hold)


def test_a_request_on_hold_takes_no_slot_from_the_one_behind_it() -> None:
    world = World(slots=1)
    world.says(request("a"), action("hold", "a"), request("b"))
    assert world.started() == ["b"]


def test_a_request_on_hold_whose_parent_has_ended_takes_no_slot_either() -> None:
    world = World(slots=1)
    world.says(request("parent"))
    assert world.started() == ["parent"]
    world.sagemaker.end(world.requests.entries["fraud", "parent"].tuning_job_name)
    assert world.started() == []

    world.says(request("a", after=["parent"]), action("hold", "a"))
    world.clock.wait(1)
    world.says(request("b"))
    assert world.started() == ["b"]


def test_a_request_cancelled_while_the_others_are_unblocked_keeps_none_of_them_waiting() -> None:
    world = World()
    world.says(request("parent"))
    assert world.started() == ["parent"]
    world.says(request("a", after=["parent"]), request("b", after=["parent"]))
    assert world.started() == []
    real = world.dispatcher.requests

    class Changing:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def blocked(self, count: int | None = None) -> Sequence[BlockedEntry]:
            found = world.requests.blocked(count)
            world.says(action("cancel", "a"))
            return found

        def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
            cancelled = {("fraud", "a"): Status.CANCELLED}
            return {
                key: replace(each, status=cancelled.get(key, each.status))
                for key, each in world.requests.get_all(keys).items()
            }

    changing: Any = Changing()
    world.dispatcher = replace(world.dispatcher, requests=changing)
    world.sagemaker.end(world.requests.entries["fraud", "parent"].tuning_job_name)
    world.started()
    assert not world.requests.entries["fraud", "b"].blocked


def test_a_dispatcher_that_has_lost_the_lease_starts_nothing_and_says_so() -> None:
    world = World()
    world.says(request("a"))
    summary = world.dispatcher.run_cycle(ample())  # without the lease
    assert [*summary.problems] == ["another dispatcher has taken over"]
    assert world.requests.entries["fraud", "a"].status is Status.QUEUED
    assert world.sagemaker.created == {}


@pytest.mark.parametrize("field", ["blocked", "on_hold"])
def test_a_request_in_no_queue_neither_joins_nor_leaves_one(field: str) -> None:
    """Otherwise queue lengths and positions would be wrong by it."""
    outcome = IntakeOutcome(clock=lambda: NOON)
    entry = Entry(team="fraud", request_id="a", status=Status.QUEUED, accepted_at=NOON)
    outcome.joined_queue(replace(entry, **{field: True}))
    outcome.left_queue(replace(entry, **{field: True}))
    assert outcome.moves == []
    outcome.joined_queue(entry)
    assert [move.joined for move in outcome.moves] == [True]
