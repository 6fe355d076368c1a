"""Two dispatchers at once, every call liable to fail, and many bad messages among good ones."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.dispatch import CycleIncomplete, Dispatcher
from hpo_dispatcher.entry import Status
from hpo_dispatcher.pace import Deadline
from hpo_dispatcher.ports import Unavailable
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.unit.dispatcher.test_crashes import Killed

LIMIT = 7
REQUESTS = 60
ROUNDS = 80


class Unreliable:
    """A port whose calls fail at random, before or after they took effect."""

    def __init__(self, port: object, draw: random.Random, share: float) -> None:
        self._port, self._draw, self._share = port, draw, share

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real: Callable[..., Any] = getattr(self._port, name)
        if name == "publish":  # best effort by contract: its adapters do not raise
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
        dispatcher.cycle(ample())


def unreliable(of: Simulation, seed: int, share: float) -> Dispatcher:
    draw = random.Random(seed)
    ports: dict[str, Any] = {
        name: Unreliable(getattr(of.dispatcher, name), draw, share)
        for name in ("queues", "ledger", "tuning")
    }
    return replace(of.dispatcher, holder=f"dispatcher-{seed}", **ports)


@pytest.mark.parametrize("seed", range(6))
def test_two_failing_dispatchers_at_once_lose_nothing_double_nothing_and_keep_the_limit(
    seed: int,
) -> None:
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
        account.clock.now += timedelta(seconds=40)  # a killed one's lease lasts 15 minutes
        account.sagemaker.end_due()
        account.queues.reappear()
        assert len(account.sagemaker.running) <= LIMIT
        promised = [job.tuning_job_name for job in account.ledger.active()]
        ended = account.sagemaker.ended
        assert sum(name not in ended for name in promised) <= LIMIT, "promises count too"

    report = account.run_to_the_end()

    assert (report.lost, report.doubled) == (0, 0)
    assert report.peak <= LIMIT
    assert report.completed == REQUESTS


def bad_message(draw: random.Random, number: int) -> str:
    """What a broken client might send."""
    lr = {"type": "continuous", "min": 0.1, "max": 1.0}
    ranges = {"lr": lr}
    kinds: list[Callable[[], object]] = [
        lambda: "not JSON" * draw.randint(1, 50),
        lambda: draw.choice([[], 1, None, "text", True]),
        lambda: {"hyperparameter_ranges": {}},
        lambda: {"hyperparameter_ranges": ranges, f"field{number}": 1},
        lambda: {"hyperparameter_ranges": {"lr": {**lr, "min": 1 + draw.random()}}},
        lambda: {"hyperparameter_ranges": {f"p{i}": lr for i in range(31)}},
        lambda: {"hyperparameter_ranges": ranges, "hyperparameters": {"lr": 1}},
        lambda: {"hyperparameter_ranges": ranges, "template": f"t{number}"},
        lambda: {"hyperparameter_ranges": ranges, "request_id": "a b"},
        lambda: {"hyperparameter_ranges": ranges, "resource_limits": {"max_training_jobs": 751}},
        lambda: {"hyperparameter_ranges": ranges, "overrides": {"TrainingJobDefinition": number}},
        lambda: {"action": "cancel"},
        lambda: {"request_id": "r0", "hyperparameter_ranges": ranges, "priority": 1},
    ]
    made = draw.choice(kinds)()
    return made if isinstance(made, str) else json.dumps(made)


def test_many_bad_messages_among_good_ones_stop_none_of_them() -> None:
    good, bad = 100, 1000
    account = world(good)
    draw = random.Random(1)
    account.send(account.workload.arrivals[0])
    account.dispatcher.cycle(ample())
    messages = [bad_message(draw, number) for number in range(bad)]
    places = sorted(draw.sample(range(bad), good - 1))
    rest = iter(account.workload.arrivals[1:])
    for number, body in enumerate(messages):
        if places and places[0] == number:
            places.pop(0)
            account.send(next(rest))
        account.queues.send("a", body)

    report = account.run_to_the_end()

    assert report.completed == good
    letters = account.queues.dead_letters
    assert len(letters) == bad
    assert sorted(body for _, body, _ in letters) == sorted(messages)
    assert all(error.field and error.problem and error.fix for _, _, error in letters)
    ledger = account.ledger.entries.values()
    assert sum(entry.status is Status.COMPLETED for entry in ledger) == good
