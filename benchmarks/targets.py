"""Simulate one queue over several accounts or Regions.

    python -m benchmarks targets

A trial runs for 30 minutes on average, ten of them in parallel in each tuning job. Takes minutes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

from benchmarks.measure import Measure, at_least, at_most, print_table, shown
from hpoq.simulation.result import SimulationResult
from hpoq.simulation.simulate import Conditions, Simulation
from hpoq.simulation.targets.services import on_targets, target_names
from hpoq.simulation.workload import Arrival, Workload, burst

NAME = "targets"
TRIALS = 20_000
TRIALS_OF_A_JOB = 10
MANY = 20  # targets
REQUESTS = 20_000  # of the largest simulation


def results() -> Iterable[Measure]:
    """Yield what three targets are worth, and what twenty cost."""
    campaign = burst(TRIALS // TRIALS_OF_A_JOB, 1)
    one, three = _run(campaign, 1), _run(campaign, 3)
    makespan = three.hours / one.hours
    yield at_most(NAME, f"makespan of {TRIALS:,} trials, 3 targets over 1", makespan, 0.36)
    least = min(three.utilization_on.values())
    yield at_least(NAME, "least utilization of 3 targets, 30 min jobs", least, 0.99)
    shared = [_run(_three_teams(), count) for count in (1, 3)]
    gap = shared[1].fairness_gap - shared[0].fairness_gap
    yield at_most(NAME, "shortfall of a team from its share, 3 targets minus 1", gap, 0.01)
    yield from _many()
    wrong = sum(each.lost + each.duplicated + each.over_quota for each in (one, three, *shared))
    yield at_most(NAME, "lost, duplicated or beyond a limit", wrong, 0)


def _run(workload: Workload, targets: int) -> SimulationResult:
    return Simulation(on_targets(workload, targets) if targets > 1 else workload).run()


def _three_teams() -> Workload:
    draw = random.Random(1)
    arrivals = [
        Arrival(at=0, team=team, request_id=f"{team}{n}", seconds=draw.uniform(20, 40) * 60)
        for team in ("a", "b", "c")
        for n in range(300)
    ]
    teams = {"a": {"weight": 2.0}, "b": {}, "c": {}}
    return Workload(name="three teams", arrivals=arrivals, teams=teams, slots=30)


def many_targets(requests: int) -> Workload:
    """Return requests of twenty teams, each for two of twenty targets, which start in waves."""
    names = target_names(MANY)
    arrivals = [
        Arrival(
            at=0, team=f"t{n % MANY}", request_id=f"r{n}", seconds=590,
            targets=(names[n % MANY], names[(n + 7) % MANY]),
        )
        for n in range(requests)
    ]  # fmt: skip
    teams: dict[str, dict[str, object]] = {f"t{n}": {} for n in range(MANY)}
    return Workload(name="many targets", arrivals=arrivals, teams=teams, targets=MANY)


def _many() -> Iterable[Measure]:
    """Simulate a poller: all slots are filled every ten minutes, which is the most of one cycle."""
    began = time.process_time()
    report = Simulation(many_targets(REQUESTS), Conditions(on_events=False)).run()
    seconds = time.process_time() - began
    what = f"{MANY} targets of 100 slots, {REQUESTS:,} requests"
    yield shown(NAME, f"{what}: CPU per request", seconds / REQUESTS * 1000, "ms")
    yield shown(NAME, "  requests per cycle", REQUESTS / report.cycles)
    yield shown(NAME, "  calls per request", report.calls_per_job)
    bad = report.lost + report.duplicated + report.over_quota
    unfinished = report.requests - report.completed
    yield at_most(NAME, "  lost, duplicated, beyond a limit or not ended", bad + unfinished, 0)


if __name__ == "__main__":
    print_table(results())
