"""Simulate a million requests.

    python -m benchmarks million

Takes about half an hour for one target, and longer for twenty.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable

from benchmarks.admission import waves
from benchmarks.measure import Measure, at_most, print_table, shown
from benchmarks.targets import MANY, many_targets
from hpoq.simulation.simulate import Conditions, Simulation

NAME = "million"
MILLION = 1_000_000


def results() -> Iterable[Measure]:
    """Yield the time, and how many requests went wrong."""
    began = time.perf_counter()
    report = Simulation(waves(MILLION)).run()
    minutes = (time.perf_counter() - began) / 60
    yield at_most(NAME, f"{MILLION:,} requests simulated", minutes, 30, "min")
    unfinished = report.requests - report.completed
    yield at_most(
        NAME, "  lost, duplicated or not ended", report.lost + report.duplicated + unfinished, 0
    )
    yield from over_targets(MILLION)


def over_targets(requests: int) -> Iterable[Measure]:
    """Yield what a cycle of a dispatcher with many targets and long queues takes.

    All slots are filled in every cycle, which is the most that one can be given. The first cycle
    takes in all messages, as one without an end of its time would.
    """
    cycles: list[float] = []
    began = time.process_time()

    def completed(_ended: int, _all: int) -> None:
        nonlocal began
        now = time.process_time()
        cycles.append(now - began)
        began = now

    work = many_targets(requests)
    report = Simulation(work, Conditions(on_events=False), progress=completed).run()
    intake, *others = cycles
    what = f"{requests:,} requests over {MANY} targets"
    yield shown(NAME, f"{what}: CPU of the cycle that takes them in", intake, "s")
    yield shown(NAME, "  CPU of a later cycle, median", statistics.median(others), "s")
    yield shown(NAME, "  CPU of a later cycle, longest", max(others), "s")
    yield shown(NAME, "  cycles", report.cycles)
    yield shown(NAME, "  calls per request", report.calls_per_job)
    bad = report.lost + report.duplicated + report.over_quota
    unfinished = report.requests - report.completed
    yield at_most(NAME, "  lost, duplicated, beyond a limit or not ended", bad + unfinished, 0)


if __name__ == "__main__":
    print_table(results())
