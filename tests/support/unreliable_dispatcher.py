"""Dispatchers whose calls fail at random, in a simulated account."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.ports import Unavailable
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.killed_dispatcher import Killed

LIMIT = 7
REQUESTS = 60
ROUNDS = 80


class Unreliable:
    """A port whose calls fail at random, before or after they take effect."""

    def __init__(self, port: object, draw: random.Random, share: float) -> None:
        self._port, self._draw, self._share = port, draw, share

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real: Callable[..., Any] = getattr(self._port, name)
        if name == "publish":  # best effort by contract: adapters of this method do not raise
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            fate = self._draw.random()
            if fate < self._share / 2:
                raise self._error(name)
            answer = real(*args, **kwargs)
            if fate < self._share:
                raise self._error(name)
            return answer

        return call

    def _error(self, name: str) -> BaseException:
        return Killed(name) if self._draw.random() < 0.3 else Unavailable(f"{name}: injected")


def world(requests: int = REQUESTS) -> Simulation:
    arrivals = [
        Arrival(at=0, team=("a", "b")[n % 2], request_id=f"r{n}", seconds=120 + n)
        for n in range(requests)
    ]
    return Simulation(Workload(name="w", arrivals=arrivals, teams={"a": {}, "b": {}}, slots=LIMIT))


def ample() -> Deadline:
    return Deadline(remaining=lambda: 900.0, total=900.0)


def cycle(dispatcher: Dispatcher) -> None:
    with suppress(Killed, Unavailable, CycleIncomplete):
        dispatcher.run(ample())


def unreliable(of: Simulation, seed: int, share: float) -> Dispatcher:
    draw = random.Random(seed)
    ports: dict[str, Any] = {
        name: Unreliable(getattr(of.dispatcher, name), draw, share)
        for name in ("queues", "leases", "documents", "requests", "tuning")
    }
    return replace(of.dispatcher, owner=f"dispatcher-{seed}", **ports)


def run_two_failing_dispatchers(seed: int) -> None:
    """Run two failing dispatchers at once and check that no request is lost or doubled."""
    account = world()
    for arrival in account.workload.arrivals:
        account.send(arrival)
    both = [unreliable(account, seed * 2 + which, share=0.05) for which in range(2)]
    for _ in range(ROUNDS):
        threads = [threading.Thread(target=cycle, args=(each,)) for each in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        account.clock.now += timedelta(
            seconds=40
        )  # the lease of a killed dispatcher lasts 15 minutes
        account.sagemaker.end_due()
        account.queues.reappear()
        assert len(account.sagemaker.running) <= LIMIT
        promised = [job.tuning_job_name for job in account.requests.running()]
        ended = account.sagemaker.ended
        assert sum(name not in ended for name in promised) <= LIMIT, "promised jobs count, too"

    report = account.run_to_end()

    assert (report.lost, report.duplicated) == (0, 0)
    assert report.peak <= LIMIT
    assert report.completed == REQUESTS
