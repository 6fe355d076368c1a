"""Two dispatchers over three targets, with faults of every target and kills at every point.

A request is never on two targets, no target has more tuning jobs than its limit, and once the
faults end, every request completes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.ports import AccountFault, Creation, Unavailable
from hpoq.simulation.sagemaker import SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.targets.services import target_names
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import ample_time
from tests.support.killed_dispatcher import Killed

TARGETS = target_names(3)
SLOTS = 3
REQUESTS = 30
TURNS = 60
LEASE = timedelta(minutes=16)  # longer than an invocation may run


class World:
    """A deployment with two dispatchers, whose faults are drawn."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.faults = True
        self.simulation = Simulation(
            Workload(name="w", arrivals=[], teams={"a": {}, "b": {}}, slots=SLOTS, targets=3)
        )
        self.down: set[str] = set()
        self.services = {
            name: Service(self, name, service)
            for name, service in self.simulation.targets.services.items()
        }
        for service in self.simulation.targets.services.values():
            service.run_of = lambda _: SimulatedRun(seconds=self.draw.uniform(60, 1800))
        self.dispatchers = [self._dispatcher(owner) for owner in ("one", "two")]
        self.nested = False

    def _dispatcher(self, owner: str) -> Dispatcher:
        built = self.simulation.dispatcher
        others: dict[str, Any] = {
            name: replace(each, tuning=self.services[name])  # type: ignore[arg-type]
            for name, each in built.targets.items()
        }
        home: Any = self.services["home"]
        return replace(built, tuning=home, targets=others, owner=owner)

    def send(self, number: int) -> None:
        targets = tuple(self.draw.sample(TARGETS, self.draw.randint(1, 3)))
        team = self.draw.choice("ab")
        arrival = Arrival(at=0, team=team, request_id=f"r{number}", seconds=1, targets=targets)
        self.simulation.send(arrival)

    def run(self, dispatcher: Dispatcher) -> None:
        with suppress(CycleIncomplete, Unavailable, Killed):
            dispatcher.run(ample_time())
        self.check()

    def turn(self) -> None:
        """Let time pass, change which targets answer, and run one or the other dispatcher."""
        self.pass_time(timedelta(minutes=self.draw.choice([1, 5, 20])))
        self.down = {name for name in TARGETS if self.draw.random() < 0.25}
        self.run(self.draw.choice(self.dispatchers))

    def pass_time(self, time: timedelta) -> None:
        self.simulation.clock.now += time
        self.simulation.targets.end_due()

    def overlap(self) -> None:
        """Run the other dispatcher while this one is in a call, after its lease has expired."""
        if self.nested or self.draw.random() > 0.1:
            return
        self.nested = True
        self.pass_time(LEASE)
        self.run(self.draw.choice(self.dispatchers))
        self.nested = False

    def check(self) -> None:
        jobs = Counter(
            job.key
            for service in self.simulation.targets.services.values()
            for job in [*service.running.values(), *service.ended.values()]
        )
        assert max(jobs.values(), default=1) == 1, "a request was on two targets, or ran twice"
        for service in self.simulation.targets.services.values():
            assert service.peak <= SLOTS


class Service:
    """SageMaker of one target, which fails as the world draws."""

    def __init__(self, world: World, name: str, service: Any) -> None:
        self._world, self._name, self._service = world, name, service

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._service, method)

        def attempted(*arguments: Any) -> Any:
            world = self._world
            if world.faults and (self._name in world.down or world.draw.random() < 0.03):
                raise Unavailable(f"sagemaker:{method} on {self._name}: throttled")
            return call(*arguments)

        return attempted

    def create(self, api_request: Mapping[str, Any]) -> Creation:
        world = self._world
        if not world.faults:
            return self._created(api_request)
        if self._name in world.down:
            raise Unavailable(f"sagemaker:Create on {self._name}: no route to host")
        world.overlap()
        match world.draw.choice(("", "", "", "", "before", "after", "lost", "denied")):
            case "before":
                raise Killed
            case "after":
                self._created(api_request)
                raise Killed
            case "lost":
                self._created(api_request)
                raise Unavailable("sagemaker:Create: connection reset")
            case "denied":
                return AccountFault("Could not assume role")
            case _:
                return self._created(api_request)

    def _created(self, api_request: Mapping[str, Any]) -> Creation:
        creation: Creation = self._service.create(api_request)
        return creation


@pytest.mark.parametrize("seed", range(12))
def test_no_request_is_on_two_targets_and_none_is_lost(seed: int) -> None:
    world = World(seed)
    for number in range(REQUESTS):
        world.send(number)
    for _ in range(TURNS):
        world.turn()
    world.faults = False
    world.down = set()
    for _ in range(200):
        world.pass_time(timedelta(minutes=31))  # the longest wait after a fault is over, too
        world.run(world.dispatchers[0])
        entries = world.simulation.requests.entries.values()
        if len(entries) == REQUESTS and all(entry.status.ended for entry in entries):
            break
    ended = Counter(entry.status for entry in world.simulation.requests.entries.values())
    assert ended == {Status.COMPLETED: REQUESTS}
