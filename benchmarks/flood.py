"""Compare the cycles of the other teams under a flood of one team with a quarter of that flood.

    python -m benchmarks flood

The account is in memory: the real dispatcher, and ports that count calls. All slots are in use, and
another team sends one request for each measured cycle. A flood costs the others' cycles something
(up to 2,000 blocked requests are read, for example); more of it must cost nothing more. Prints
calls, CPU time and bytes.
"""

from __future__ import annotations

import gc
import json
import logging
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from benchmarks.measure import Measure, at_most, print_table, shown
from hpo_dispatcher.aws.clients import CallCounter
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.observability.telemetry import COUNT_EVERY, Telemetry
from hpo_dispatcher.scheduling.history.memory import MEMORY
from hpoq.simulation.sagemaker import SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Workload

NAME = "flood"
SLOTS = 10
CYCLES = 15
ITEM = 400_000  # bytes: the largest item of DynamoDB ("Quotas in Amazon DynamoDB")
RANGES = {"lr": {"type": "continuous", "min": 0.1, "max": 1}}
CPU_GOAL = 1.25  # over the cycles with a quarter of the flood
Flood = Callable[["Account", int], None]


class Account(Simulation):
    """An account of a loud and a quiet team, whose slots are all in use."""

    def __init__(self) -> None:
        teams: dict[str, Any] = {"loud": {}, "quiet": {}}
        super().__init__(Workload(name=NAME, arrivals=[], teams=teams, slots=SLOTS))
        self.sagemaker.run_of = lambda _: SimulatedRun(seconds=1_000_000)
        gauge: Any = SimpleNamespace(write=list)
        telemetry = Telemetry(
            log=logging.getLogger(NAME), gauge=gauge, requests=self.requests, calls=CallCounter(),
            teams=tuple(teams), clock=lambda: self.clock.now,
        )  # fmt: skip
        self.dispatcher = replace(self.dispatcher, watch=telemetry.cycle)
        for number in range(SLOTS):
            self.request("quiet", f"runs-{number}")
        self.cycle()
        assert len(self.sagemaker.running) == SLOTS

    def request(self, team: str, request_id: str, **fields: Any) -> None:
        """Send a request."""
        body = {"request_id": request_id, "hyperparameter_ranges": RANGES, **fields}
        self.queues.send(team, json.dumps(body))

    def cycle(self) -> int:
        """Run a cycle that measures the queues; return the number of accepted requests."""
        self.clock.now += COUNT_EVERY
        return self.dispatcher.run(Deadline(remaining=lambda: 900.0, total=900.0)).accepted

    def calls(self) -> Counter[str]:
        """Return the calls so far."""
        ports = (
            self.queues, self.leases, self.documents, self.requests, self.sagemaker, self.events,
        )  # fmt: skip
        return sum((port.calls for port in ports), Counter[str]())

    def cost(self) -> tuple[int, float]:
        """Return the most calls and the median CPU seconds of a cycle with a quiet request."""
        calls, seconds = [], []
        gc.collect()
        gc.freeze()  # a real account is not in this process
        for number in range(CYCLES):
            self.request("quiet", f"new-{number}")
            before, began = self.calls().total(), time.process_time()
            assert self.cycle() == 1
            seconds.append(time.process_time() - began)
            calls.append(self.calls().total() - before)
        gc.unfreeze()
        return max(calls), statistics.median(seconds)

    def largest_document(self) -> int:
        """Return the bytes of the larger one of the two documents that each cycle writes."""
        texts = (self.documents.get(name) or "" for name in (CAPACITY_DOCUMENT, MEMORY))
        return max(len(text.encode()) for text in texts)


def results() -> Iterable[Measure]:
    """Yield calls, CPU time and the size of documents for each flood."""
    floods: list[tuple[str, int, Flood]] = [
        ("queued requests", 20_000, _queue),
        ("requests that wait for one", 20_000, _wait_for_one),
        ("bad messages", 50_000, _send_nonsense),
    ]
    for what, number, flood in floods:
        few, many = (_flooded(flood, each) for each in (number // 4, number))
        (few_calls, few_seconds), (calls, seconds) = few.cost(), many.cost()
        label = f"{number:,} {what}"
        yield at_most(NAME, f"calls of a cycle, {label}, over a quarter", calls / few_calls, 1)
        yield at_most(NAME, f"  its CPU time, {label}", seconds / few_seconds, CPU_GOAL)
        yield shown(NAME, f"  in milliseconds, {label}", seconds * 1000, "ms")
        yield at_most(NAME, f"  the largest document, {label}", many.largest_document(), ITEM, "B")


def _flooded(flood: Flood, number: int) -> Account:
    account = Account()
    flood(account, number)
    for _ in range(2):  # the first one takes the messages in
        account.cycle()
    return account


def _queue(account: Account, number: int) -> None:
    for n in range(number):
        account.request("loud", f"r{n}", priority=n % 7)


def _wait_for_one(account: Account, number: int) -> None:
    for n in range(number):
        account.request("loud", f"r{n}", after=["first"])
    account.request("loud", "first")


def _send_nonsense(account: Account, number: int) -> None:
    for n in range(number):
        account.queues.send("loud", f"{{not JSON {n}")


if __name__ == "__main__":
    print_table(results())
