"""The queue against a plain poller: utilisation, fairness, bounds, calls and planning time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from benchmarks.measure import Measure, at_least, at_most, print_table, shown
from hpo_dispatcher.plan import Capacity, Head, Snapshot, plan
from hpo_dispatcher.tuning_job import Demand
from hpoq.simulation.simulate import Conditions, Report, Simulation
from hpoq.simulation.workload import WORKLOADS
from tests.unit.simulation.test_simulation import waited_job_ends

NAME = "admission"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEADS = 110  # of each team, what a cycle reads of its line at most


def results() -> Iterable[Measure]:
    """Every goal of the admission policy that a simulation can show."""
    reports = {name: _run(name, 1000) for name in WORKLOADS}
    burst = reports["burst"]
    yield at_least(NAME, "utilisation, always backlogged, 30 min jobs", burst.utilisation, 0.99)
    poller = Simulation(WORKLOADS["burst"](1000, 1), Conditions(on_events=False)).run()
    yield shown(NAME, "  the plain ten-minute poller's", poller.utilisation)
    noisy = _run("noisy-neighbour", 10_000)
    yield at_most(NAME, "job ends b waits beyond its share", waited_job_ends(noisy), 1)
    bound = 30 * 60 + 15 * 60 + 60
    big = reports["big-and-small"].waits["big"]["p100"]
    yield at_most(NAME, "longest wait of a big request", big, bound, "s")
    over = sum(r.over_a_limit + max(0, r.peak - r.slots) for r in reports.values())
    yield at_most(NAME, "started beyond any limit, all workloads", over, 0)
    lost = sum(report.lost + report.doubled for report in reports.values())
    yield at_most(NAME, "lost or doubled, all workloads", lost, 0)
    yield at_most(NAME, "calls per job, one job end a cycle", burst.calls_per_job, 3)
    yield at_most(NAME, "  of SageMaker's", burst.sagemaker_calls_per_job, 1.5)
    yield shown(NAME, "calls per job, a cycle every ten minutes", poller.calls_per_job)
    yield shown(NAME, "  of SageMaker's", poller.sagemaker_calls_per_job)
    yield from _planning()


def _run(name: str, requests: int) -> Report:
    return Simulation(WORKLOADS[name](requests, 1)).run()


def _planning() -> Iterable[Measure]:
    """The plan sees the heads, not the backlog: reading them is one query of a sorted index."""
    for backlog in (1_000, 10_000, 100_000, 1_000_000):
        teams = 100
        heads = min(HEADS, backlog // teams)
        lines = {f"t{t}": [_head(f"t{t}", n) for n in range(heads)] for t in range(teams)}
        snapshot = Snapshot(now=NOON, holders=[], lines=lines)
        capacity = Capacity(tuning_jobs=100, instances={"ml.m5.large": 400})
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            plan(snapshot, capacity, {})
            seconds.append(time.perf_counter() - began)
        milliseconds = statistics.median(seconds) * 1000
        what = f"one plan, {backlog:,} queued of {teams} teams"
        yield at_most(NAME, what, milliseconds, 50, "ms")


def _head(team: str, number: int) -> Head:
    return Head(
        team=team,
        request_id=f"r{number}",
        priority=0,
        accepted_at=NOON - timedelta(seconds=number),
        demand=Demand(tuning_jobs=1, instances={"ml.m5.large": 2}),
    )


if __name__ == "__main__":
    print_table(results())
