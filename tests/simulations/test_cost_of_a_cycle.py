"""What one team does, however much of it, costs the cycles of the others nothing more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.cycle.decision.queue_heads import MOST_HEADS
from hpo_dispatcher.scheduling.history.memory import MEMORY
from hpoq.simulation.sagemaker import SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Workload
from tests.support.unreliable_dispatcher import ample

SLOTS = 3
RARE = "ml.p4d.24xlarge"
ITEM = 400_000  # bytes: "Quotas in Amazon DynamoDB"
RANGES = {"lr": {"type": "continuous", "min": 0.1, "max": 1}}
Behavior = Callable[["World", int], None]


class World(Simulation):
    """An account whose slots are all in use, for longer than a test lasts."""

    def __init__(self, teams: Sequence[str] = ("loud", "quiet")) -> None:
        super().__init__(
            Workload(
                name="w", arrivals=[], teams={team: {} for team in teams}, slots=SLOTS,
                instances={RARE: 1},
            )
        )  # fmt: skip
        self.sagemaker.run_of = lambda _: SimulatedRun(seconds=1_000_000)
        for number in range(SLOTS):
            self.request("quiet", f"runs-{number}")
        self.dispatcher.run(ample())
        assert len(self.sagemaker.running) == SLOTS

    def request(self, team: str, request_id: str, **fields: Any) -> None:
        body = {"request_id": request_id, "hyperparameter_ranges": RANGES, **fields}
        self.queues.send(team, json.dumps(body))

    def calls(self) -> Counter[str]:
        ports = (
            self.queues, self.leases, self.documents, self.requests, self.sagemaker, self.events,
        )  # fmt: skip
        return sum((port.calls for port in ports), Counter[str]())

    def cost_of_a_cycle(self) -> Counter[str]:
        """Return the calls of a cycle with one new request of the quiet team."""
        self.request("quiet", "new")
        before = self.calls()
        assert self.dispatcher.run(ample()).accepted == 1
        return self.calls() - before


def queue(world: World, number: int) -> None:
    for n in range(number):
        world.request("loud", f"r{n}")


def chain(world: World, number: int) -> None:
    for n in range(number):
        world.request("loud", f"r{n}", after=[f"r{n - 1}" if n else "runs-0"])


def wait_for_one(world: World, number: int) -> None:
    world.request("loud", "first")
    for n in range(number):
        world.request("loud", f"r{n}", after=["first"])


def send_nonsense(world: World, number: int) -> None:
    for n in range(number):
        world.queues.send("loud", f"{{not JSON {n}")


def ask_for_too_much(world: World, number: int) -> None:
    resources = {"InstanceType": RARE, "InstanceCount": 2}
    for n in range(number):
        overrides = {"TrainingJobDefinition": {"ResourceConfig": resources}}
        world.request("loud", f"r{n}", overrides=overrides)


def hold_everything(world: World, number: int) -> None:
    for n in range(number):
        world.request("loud", f"r{n}")
        world.queues.send("loud", json.dumps({"action": "hold", "request_id": f"r{n}"}))


BEHAVIORS: list[Behavior] = [
    queue, chain, wait_for_one, send_nonsense, ask_for_too_much, hold_everything,
]  # fmt: skip


@pytest.mark.parametrize("behavior", BEHAVIORS, ids=lambda each: each.__name__)
def test_a_cycle_makes_as_many_calls_whatever_another_team_has_sent_before(
    behavior: Behavior,
) -> None:
    costs = []
    for number in (20, 400):
        world = World()
        behavior(world, number)
        for _ in range(2):  # takes the messages in
            world.dispatcher.run(ample())
        costs.append(world.cost_of_a_cycle())
    few, many = costs
    assert many == few


@pytest.mark.parametrize("number", [100, 2 * MOST_HEADS])
def test_a_cycle_reads_no_more_of_a_queue_than_it_may_start(number: int) -> None:
    world = World()
    queue(world, number)
    world.dispatcher.run(ample())
    read: list[int] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.requests, name)

        def heads(self, team: str, count: int) -> Sequence[Entry]:
            found = world.requests.heads(team, count)
            read.append(len(found))
            return found

    counting: Any = Counting()
    replace(world.dispatcher, requests=counting).run(ample())
    assert sum(read) <= 20


def test_many_teams_with_long_queues_keep_both_documents_small() -> None:
    teams = [f"team-{n:02}" for n in range(40)]
    world = World(["quiet", *teams])
    for team in teams:
        for n in range(200):
            world.request(team, f"r{n:03}-{'y' * 40}", priority=n % 7)
    world.dispatcher.run(ample())
    world.dispatcher.run(ample())

    for name in (CAPACITY_DOCUMENT, MEMORY):
        content = world.documents.get(name)
        assert content is not None
        assert len(content.encode()) < ITEM / 2
