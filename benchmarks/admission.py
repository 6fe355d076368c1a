"""Compare the queue with a plain poller: utilization, fairness, bounds, API calls and speed.

    python -m benchmarks admission

Prints shares (0..1), seconds, and API calls per job.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import intake
from benchmarks.measure import Measure, at_least, at_most, print_table, shown
from hpo_dispatcher.contract.aws_limits import TUNING_JOBS
from hpo_dispatcher.contract.settings import Limits
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket
from hpo_dispatcher.scheduling.plan import RESERVE_AFTER, plan
from hpo_dispatcher.scheduling.snapshot import Capacity, Head, Snapshot
from hpoq.simulation.result import SimulationResult
from hpoq.simulation.simulate import Conditions, Simulation
from hpoq.simulation.workload import WORKLOADS, Arrival, Workload
from tests.support.delivered_shares import QUOTAS, farthest_from_ideal
from tests.support.plan_properties import nothing_idles, plain_scene
from tests.support.waiting_times import waited_job_ends

NAME = "admission"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEADS = 110  # requests of each team's queue that a cycle reads at most
POLLING = Conditions(on_events=False)
MESSAGES = 10_000
SNAPSHOTS = 100_000
LATENCY_SECONDS = 0.1  # of each SageMaker call


def results() -> Iterable[Measure]:
    """Yield every goal of admission, and the poller's values for comparison."""
    reports = {name: _run(name, 1000) for name in WORKLOADS}
    burst = reports["burst"]
    yield at_least(NAME, "utilization, always backlogged, 30 min jobs", burst.utilization, 0.99)
    poller = _run("burst", 1000, POLLING)
    yield shown(NAME, "  the plain ten-minute poller's", poller.utilization)
    yield at_least(NAME, "  with 10 min jobs", _ten_minutes(Conditions()).utilization, 0.95)
    yield shown(NAME, "  the poller's, with 10 min jobs", _ten_minutes(POLLING).utilization)
    noisy = _run("noisy-neighbor", 10_000)
    yield at_most(NAME, "job ends b waits beyond its share, 10,000 : 10", waited_job_ends(noisy), 1)
    yield shown(NAME, "  mean shortfall of b from its share", noisy.fairness_gap)
    yield from _bypass(reports["big-and-small"])
    over = sum(r.over_quota + max(0, r.peak - r.slots) for r in reports.values())
    yield at_most(NAME, "started beyond any limit, all workloads", over, 0)
    lost = sum(report.lost + report.duplicated for report in reports.values())
    yield at_most(NAME, "lost or duplicated, all workloads", lost, 0)
    yield from _calls(burst, poller)
    # The default follows what SageMaker throttles: five at once, then five per second.
    at_once = _fill_seconds(Limits(creates_at_once=TUNING_JOBS))
    yield at_most(NAME, "100 free slots to 100 started at once, 100 ms calls", at_once, 3, "s")
    yield shown(NAME, "  with the default rate of creations", _fill_seconds(Limits()), "s")
    yield from _planning()
    yield from _shapes()
    yield from _delivered_shares()
    yield from _random_snapshots()
    ours, bare, storing = intake.seconds(MESSAGES)
    yield shown(NAME, f"bare receive+delete of {MESSAGES:,} messages", bare, "s")
    yield at_most(NAME, f"intake of {MESSAGES:,} messages, over the bare loop", ours / bare, 1.3)
    yield shown(NAME, "  a loop that also stores each message, over the bare loop", storing / bare)


def _run(name: str, requests: int, conditions: Conditions | None = None) -> SimulationResult:
    return Simulation(WORKLOADS[name](requests, 1), conditions or Conditions()).run()


def _ten_minutes(conditions: Conditions) -> SimulationResult:
    """Simulate the burst with jobs of a third of the length."""
    burst = WORKLOADS["burst"](1000, 1)
    short = [replace(arrival, seconds=arrival.seconds / 3) for arrival in burst.arrivals]
    return Simulation(replace(burst, arrivals=short), conditions).run()


def _bypass(report: SimulationResult) -> Iterable[Measure]:
    """Compare the longest wait with its bound: 30 minutes + teams x longest job (ADR 0010)."""
    longest = 30 * 60
    bound = RESERVE_AFTER.total_seconds() + len(report.waits) * longest
    waited = report.waits["big"]["p100"]
    yield at_most(NAME, "longest wait of a big request among small ones", waited, bound, "s")


def _calls(one_by_one: SimulationResult, polled: SimulationResult) -> Iterable[Measure]:
    """Yield API calls per started job; the jobs that start in a cycle share its calls."""
    together = Simulation(waves(5000)).run()
    for what, report in (("jobs ending together", together), ("a cycle every 10 min", polled)):
        yield at_most(NAME, f"calls per job, {what}", report.calls_per_job, 3)
        yield at_most(NAME, "  of SageMaker's", report.sagemaker_calls_per_job, 1.5)
    late = Simulation(waves(5000), Conditions(search_delay=60)).run()
    yield shown(NAME, "calls per job, ending together, Search 60 s behind", late.calls_per_job)
    yield shown(NAME, "  of SageMaker's", late.sagemaker_calls_per_job)
    # Slots become free 18 seconds apart and are filled within a second, so each job needs a cycle
    # of its own.
    yield shown(NAME, "calls per job, a cycle for each job end", one_by_one.calls_per_job)
    yield shown(NAME, "  of SageMaker's", one_by_one.sagemaker_calls_per_job)
    own = (one_by_one.calls_per_job - together.calls_per_job) * one_by_one.requests
    yield shown(NAME, "  of them the cycle's own", own / one_by_one.cycles)


def waves(requests: int) -> Workload:
    """Return a workload of equally long jobs, a hundred of which start and end together."""
    arrivals = [
        Arrival(at=0, team="fraud", request_id=f"r{n}", seconds=590) for n in range(requests)
    ]
    return Workload(name="waves", arrivals=arrivals, teams={"fraud": {}})


@dataclass(frozen=True, kw_only=True)
class _SlowSageMaker:
    """A SageMaker client with the latency of a real one."""

    tuning: Any

    def __getattr__(self, name: str) -> Any:
        time.sleep(LATENCY_SECONDS)
        return getattr(self.tuning, name)


def _fill_seconds(limits: Limits) -> float:
    """Return the seconds of one cycle in real time, with a token bucket as the settings say."""
    account = Simulation(waves(100))
    for arrival in account.workload.arrivals:
        account.send(arrival)
    bucket = TokenBucket(
        rate=limits.creates_per_second, burst=limits.creates_at_once,
        clock=time.monotonic, sleep=time.sleep,
    )  # fmt: skip
    slow: Any = _SlowSageMaker(tuning=account.sagemaker)
    dispatcher = replace(account.dispatcher, tuning=slow, bucket=bucket)
    began = time.perf_counter()
    summary = dispatcher.run(Deadline(remaining=lambda: 900.0, total=900.0))
    seconds = time.perf_counter() - began
    assert summary.started == len(account.sagemaker.running) == limits.tuning_jobs
    return seconds


def _planning() -> Iterable[Measure]:
    """Measure the CPU time of one plan, which depends on heads of queues, not on the backlog."""
    for backlog in (1_000, 10_000, 100_000, 1_000_000):
        teams = 100
        heads = min(HEADS, backlog // teams)
        seconds = [_plan_seconds(teams, heads) for _ in range(5)]
        milliseconds = statistics.median(seconds) * 1000
        what = f"one plan, {backlog:,} queued of {teams} teams"
        yield at_most(NAME, what, milliseconds, 50, "ms")


def _shapes() -> Iterable[Measure]:
    """Measure the CPU time of one plan of 100,000 heads, which follows the number of shapes."""
    types = [f"ml.t{n}.large" for n in range(20)]
    for what, goal, different in (("20 shapes", 150, False), ("all shapes different", 1000, True)):
        queues = {
            f"t{team}": [
                replace(
                    _head(f"t{team}", n),
                    instances={types[(team + n) % 20]: 1 + n if different else 1},
                )
                for n in range(1_000)
            ]
            for team in range(100)
        }
        quota = 2_000 if different else 10
        capacity = Capacity(tuning_jobs=100, instances=dict.fromkeys(types, quota))
        snapshot = Snapshot(now=NOON, running_jobs=[], queues=queues)
        seconds = []
        for _ in range(3):
            began = time.process_time()
            plan(snapshot, capacity, {})
            seconds.append(time.process_time() - began)
        milliseconds = statistics.median(seconds) * 1000
        yield at_most(NAME, f"one plan, 100 teams x 1,000 heads, {what}", milliseconds, goal, "ms")


def _delivered_shares() -> Iterable[Measure]:
    """Compare what teams get over a day with their weights 1:3:10."""
    for quota in QUOTAS:
        label = f"share over a day on a quota of {quota}, farthest from its weight"
        yield at_most(NAME, label, farthest_from_ideal(quota), 0.05)


def _random_snapshots() -> Iterable[Measure]:
    """Count random snapshots in which a request waits though it fits and nothing is reserved."""
    scenes = map(plain_scene, range(SNAPSHOTS))
    idle = sum(bool(nothing_idles(each, each.planned_by(plan))) for each in scenes)
    yield at_most(NAME, f"a request idles though it fits, of {SNAPSHOTS:,} snapshots", idle, 0)


def _plan_seconds(teams: int, heads: int) -> float:
    lines = {f"t{t}": [_head(f"t{t}", n) for n in range(heads)] for t in range(teams)}
    capacity = Capacity(tuning_jobs=100, instances={"ml.m5.large": 400})
    snapshot = Snapshot(now=NOON, running_jobs=[], queues=lines)
    began = time.process_time()
    plan(snapshot, capacity, {})
    return time.process_time() - began


def _head(team: str, number: int) -> Head:
    return Head(
        team=team,
        request_id=f"r{number}",
        priority=0,
        accepted_at=NOON - timedelta(seconds=number),
        instances={"ml.m5.large": 2},
    )


if __name__ == "__main__":
    print_table(results())
