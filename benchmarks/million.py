"""Simulate a million requests.

    python -m benchmarks million

Takes about half an hour.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from benchmarks.admission import waves
from benchmarks.measure import Measure, at_most, print_table
from hpoq.simulation.simulate import Simulation

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


if __name__ == "__main__":
    print_table(results())
