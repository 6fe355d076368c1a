"""The queue against a plain poller: utilization, fairness, bounds, calls, and how fast it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import intake
from benchmarks.measure import Measure, at_least, at_most, print_table, shown
from hpo_dispatcher.contract.settings import Limits
from hpo_dispatcher.cycle.pacing import Deadline, TokenBucket
from hpo_dispatcher.scheduling.plan import RESERVE_AFTER, plan
from hpo_dispatcher.scheduling.snapshot import Capacity, Head, Snapshot
from hpoq.simulation.result import SimulationResult
from hpoq.simulation.simulate import Conditions, Simulation
from hpoq.simulation.workload import WORKLOADS, Arrival, Workload
from tests.support.waiting_times import waited_job_ends

NAME = "admission"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEADS = 110  # of each team, what a cycle reads of its line at most
POLLING = Conditions(on_events=False)
MILLION = 1_000_000
MESSAGES = 10_000
LATENCY = 0.1  # seconds of each call of SageMaker


def results() -> Iterable[Measure]:
    """Every row of the goals of admission."""
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
    yield at_most(NAME, "lost or doubled, all workloads", lost, 0)
    yield from _calls(burst, poller)
    yield at_most(NAME, "100 free slots to 100 started, 100 ms calls", _filled(), 3, "s")
    yield from _planning()
    yield from _million()
    ours, bare, storing = intake.seconds(MESSAGES)
    yield shown(NAME, f"bare receive+delete of {MESSAGES:,} messages", bare, "s")
    yield at_most(NAME, f"intake of {MESSAGES:,} messages, over the bare loop", ours / bare, 1.3)
    yield shown(NAME, "  the loop that only stores what it receives, over it", storing / bare)


def _run(name: str, requests: int, conditions: Conditions | None = None) -> SimulationResult:
    return Simulation(WORKLOADS[name](requests, 1), conditions or Conditions()).run()


def _ten_minutes(conditions: Conditions) -> SimulationResult:
    """The burst with jobs of a third of the length."""
    burst = WORKLOADS["burst"](1000, 1)
    short = [replace(arrival, seconds=arrival.seconds / 3) for arrival in burst.arrivals]
    return Simulation(replace(burst, arrivals=short), conditions).run()


def _bypass(report: SimulationResult) -> Iterable[Measure]:
    """docs/decisions/0010: 30 minutes + teams x longest job after it was first passed."""
    longest = 30 * 60
    bound = RESERVE_AFTER.total_seconds() + len(report.waits) * longest
    waited = report.waits["big"]["p100"]
    yield at_most(NAME, "longest wait of a big request among small ones", waited, bound, "s")


def _calls(one_by_one: SimulationResult, polled: SimulationResult) -> Iterable[Measure]:
    """Per started job; what a cycle costs is shared by what starts in it."""
    together = Simulation(_waves(5000)).run()
    for what, report in (("jobs ending together", together), ("a cycle every 10 min", polled)):
        yield at_most(NAME, f"calls per job, {what}", report.calls_per_job, 3)
        yield at_most(NAME, "  of SageMaker's", report.sagemaker_calls_per_job, 1.5)
    late = Simulation(_waves(5000), Conditions(search_delay=60)).run()
    yield shown(NAME, "calls per job, ending together, Search 60 s behind", late.calls_per_job)
    yield shown(NAME, "  of SageMaker's", late.sagemaker_calls_per_job)
    # The price of a slot that is filled a second after it is free, 18 s after the one before:
    # nothing is left to share a cycle's own calls with.
    yield shown(NAME, "calls per job, a cycle for each job end", one_by_one.calls_per_job)
    yield shown(NAME, "  of SageMaker's", one_by_one.sagemaker_calls_per_job)
    own = (one_by_one.calls_per_job - together.calls_per_job) * one_by_one.requests
    yield shown(NAME, "  of them the cycle's own", own / one_by_one.cycles)


def _waves(requests: int) -> Workload:
    """Jobs of one length: they start and end a hundred at a time."""
    arrivals = [
        Arrival(at=0, team="fraud", request_id=f"r{n}", seconds=590) for n in range(requests)
    ]
    return Workload(name="waves", arrivals=arrivals, teams={"fraud": {}})


def _million() -> Iterable[Measure]:
    began = time.perf_counter()
    report = Simulation(_waves(MILLION)).run()
    minutes = (time.perf_counter() - began) / 60
    yield at_most(NAME, f"{MILLION:,} requests simulated", minutes, 30, "min")
    unfinished = report.requests - report.completed
    yield at_most(
        NAME, "  lost, doubled or not ended", report.lost + report.duplicated + unfinished, 0
    )


@dataclass(frozen=True, kw_only=True)
class _Far:
    """SageMaker as far away as it is."""

    tuning: Any

    def __getattr__(self, name: str) -> Any:
        time.sleep(LATENCY)
        return getattr(self.tuning, name)


def _filled() -> float:
    """Seconds of one cycle, in real time, under the default settings' token bucket."""
    account = Simulation(_waves(100))
    for arrival in account.workload.arrivals:
        account.send(arrival)
    limits = Limits()
    bucket = TokenBucket(
        rate=limits.creates_per_second, burst=limits.creates_at_once,
        clock=time.monotonic, sleep=time.sleep,
    )  # fmt: skip
    far: Any = _Far(tuning=account.sagemaker)
    dispatcher = replace(account.dispatcher, tuning=far, bucket=bucket)
    began = time.perf_counter()
    summary = dispatcher.cycle(Deadline(remaining=lambda: 900.0, total=900.0))
    seconds = time.perf_counter() - began
    assert summary.started == len(account.sagemaker.running) == limits.tuning_jobs
    return seconds


def _planning() -> Iterable[Measure]:
    """The plan sees the heads, not the backlog: reading them is one query of a sorted index."""
    for backlog in (1_000, 10_000, 100_000, 1_000_000):
        teams = 100
        heads = min(HEADS, backlog // teams)
        seconds = [_planned(teams, heads) for _ in range(5)]
        milliseconds = statistics.median(seconds) * 1000
        what = f"one plan, {backlog:,} queued of {teams} teams"
        yield at_most(NAME, what, milliseconds, 50, "ms")


def _planned(teams: int, heads: int) -> float:
    lines = {f"t{t}": [_head(f"t{t}", n) for n in range(heads)] for t in range(teams)}
    capacity = Capacity(tuning_jobs=100, instances={"ml.m5.large": 400})
    snapshot = Snapshot(now=NOON, running_jobs=[], queues=lines)
    began = time.perf_counter()
    plan(snapshot, capacity, {})
    return time.perf_counter() - began


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
