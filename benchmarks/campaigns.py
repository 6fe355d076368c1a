"""Measure how well the campaign planner fills an account, and the speed of its tools.

    python -m benchmarks campaigns

Prints makespans as multiples of the ideal (1 is perfect), seconds, and API calls.
"""

from __future__ import annotations

import functools
import heapq
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import fabricated
from benchmarks.measure import Measure, at_least, at_most, print_table, shown
from benchmarks.planner import state_of
from hpo_dispatcher.contract.names import tuning_job_name
from hpoq.campaign.backends.job_state import JobState
from hpoq.campaign.backends.tuning_jobs import CampaignTuningJobs
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.compare import campaign_of, plan, planned
from hpoq.campaign.planning.shapes import divided
from hpoq.campaign.report import write
from hpoq.campaign.results.optuna_study import export
from hpoq.campaign.results.table import frame
from hpoq.campaign.running.schedule import due, predecessors

NAME = "campaigns"
REQUEST = {
    "objective": {"metric": "auc", "type": "Maximize"},
    "strategy": "Bayesian",
    "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}},
}
SLOTS = 100
MINUTES = 10.0  # mean of a trial
POLL_MINUTES = 0.5
SEEDS = 10
GOALS = {0.5: 1.04, 1.0: 1.08}

Next = Callable[[CampaignPlan, dict[int, JobState]], Sequence[PlannedJob]]


def results() -> Iterable[Measure]:
    yield from makespans()
    yield from planning()
    yield from understanding()
    yield from polling()
    yield from killing()


def makespans() -> Iterable[Measure]:
    for trials in (10_000, 10_001, 20_000):
        for sigma, goal in GOALS.items():
            case = f"{trials:,} trials, sigma {sigma}"
            made = planned(campaign(trials, sigma), "independent")
            yield at_most(NAME, f"makespan independent, {case}", median(made, sigma, due), goal)
            left = median(made, sigma, left_to_the_queue)
            yield shown(NAME, f"makespan independent with --detach, {case}", left)
            usual = fixed(campaign(trials, sigma))
            yield shown(NAME, f"makespan fixed 500, {case}", median(usual, sigma, by_maximum))
            best = statistics.median(list_schedule(trials, sigma, seed) for seed in range(SEEDS))
            yield shown(NAME, f"makespan one queue of single trials, {case}", best)


def planning() -> Iterable[Measure]:
    began = time.perf_counter()
    plan(name="big", trials=1_000_000, minutes_per_trial=5, request=REQUEST, limits=LIMITS)
    yield at_most(NAME, "planning 1,000,000 trials", time.perf_counter() - began, 1.0, "s")


def understanding() -> Iterable[Measure]:
    """Time the table and the report of 20,000 stored trials, and a study of 10,000."""
    made = planned(campaign(20_000, 0.5, fabricated.REQUEST), "narrowing")
    stored = list(fabricated.trials(made))
    began = time.perf_counter()
    table = frame(made, stored)
    yield at_most(NAME, "DataFrame of 20,000 trials", time.perf_counter() - began, 10, "s")
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        path = write(made, table, Path(folder) / "report.html")
        yield at_most(NAME, "report of 20,000 trials", time.perf_counter() - began, 20, "s")
        yield at_most(NAME, "report of 20,000 trials, size", path.stat().st_size / 1e6, 10, "MB")
        began = time.perf_counter()
        export(made, table.head(10_000), f"sqlite:///{folder}/study.db")
        seconds = time.perf_counter() - began
        yield at_most(NAME, "Optuna study of 10,000 trials in SQLite", seconds, 10, "s")
        if browser := shutil.which("chromium") or shutil.which("chromium-browser"):
            drawn = figures_drawn(browser, path)
            yield at_least(NAME, "figures of the report that a browser draws", drawn, FIGURES)


def figures_drawn(browser: str, page: Path) -> int:
    """Return the number of figures after the page's scripts have run."""
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
        "--virtual-time-budget=20000", f"file://{page}",
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return dom.count('class="plotly-graph-div js-plotly-plot"')


def polling() -> Iterable[Measure]:
    """Count API calls while 100 tuning jobs run and one ends between two polls."""
    made = fixed(campaign(10_000, 0.5), size=100)
    client = CountedClient(made)
    jobs = CampaignTuningJobs(client, "direct")  # type: ignore[arg-type]
    jobs.follow(made)
    jobs.poll()
    looks = 50
    client.calls.clear()
    for _ in range(looks):
        client.end_one()
        jobs.poll()
    listed, described = client.calls["list"] / looks, client.calls["describe"]
    yield at_most(NAME, "list calls per poll of 100 tuning jobs", listed, 1)
    yield at_most(NAME, "describe calls per ended tuning job", described / looks, 1)


def killing() -> Iterable[Measure]:
    """Run a campaign through the embedded cloud, whose runner is killed three times."""
    test = "tests/cloud/test_campaign.py"
    environment = {**os.environ, "HPOQ_CAMPAIGN_TRIALS": str(REAL_TRIALS)}
    command = [sys.executable, "-m", "pytest", test, "-q"]
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False)
    seconds = time.perf_counter() - began
    yield Measure(
        benchmark=NAME, measure=f"{REAL_TRIALS:,} real trials, 8 tuning jobs, 3 kill -9",
        value=seconds, unit="s", goal="exact count, no duplicate", holds=ended.returncode == 0,
    )  # fmt: skip


class CountedClient:
    """A SageMaker client that counts its calls and lists tuning jobs until they are ended."""

    def __init__(self, of: CampaignPlan) -> None:
        self.calls: Counter[str] = Counter()
        self._running = [tuning_job_name("direct", of.request_id(job)) for job in of.jobs]

    def end_one(self) -> None:
        self._running.pop()

    def list_hyper_parameter_tuning_jobs(self, **_: object) -> dict[str, object]:
        self.calls["list"] += 1
        at = datetime(2026, 11, 23, tzinfo=UTC)
        status = {"HyperParameterTuningJobStatus": "InProgress", "CreationTime": at}
        return {
            "HyperParameterTuningJobSummaries": [
                {**status, "HyperParameterTuningJobName": name} for name in self._running
            ]
        }

    def describe_hyper_parameter_tuning_job(self, **named: str) -> dict[str, object]:
        self.calls["describe"] += 1
        return {**named, "HyperParameterTuningJobStatus": "Completed"}

    def get_paginator(self, _: str) -> CountedClient:
        return self

    def paginate(self, **_: object) -> list[dict[str, object]]:
        return [self.list_hyper_parameter_tuning_jobs()]


ROOT = Path(__file__).parents[1]
REAL_TRIALS = 2_000
FIGURES = 7  # of a narrowing campaign with a price
LIMITS = {"instances": SLOTS}


def campaign(trials: int, sigma: float, request: Mapping[str, Any] = REQUEST) -> Campaign:
    return campaign_of(
        name="bench", trials=trials, minutes_per_trial=MINUTES, spread=sigma,
        request=dict(request), limits=LIMITS,
    )  # fmt: skip


def fixed(of: Campaign, size: int = 500) -> CampaignPlan:
    """Return the usual sample's plan: jobs of one size."""
    sizes = divided(of.trials, math.ceil(of.trials / size))
    jobs = tuple(
        PlannedJob(number=number, trials=n, parallel=10) for number, n in enumerate(sizes, 1)
    )
    return CampaignPlan(campaign=of, strategy="independent", jobs=jobs, generations=(len(jobs),))


def by_maximum(of: CampaignPlan, states: dict[int, JobState]) -> list[PlannedJob]:
    """Start jobs as the usual poller does: a fixed number of tuning jobs at once."""
    running = sum(not state.status.ended for state in states.values())
    left = [job for job in of.jobs if job.number not in states]
    return left[: SLOTS // 10 - running]


def left_to_the_queue(of: CampaignPlan, states: dict[int, JobState]) -> list[PlannedJob]:
    """Start jobs as ``--detach`` does: each job after those whose slots it uses."""
    ended = {number for number, state in states.items() if state.status.ended}
    after = handed_over(of.campaign.trials, of.campaign.spread)
    return [job for job in of.jobs if job.number not in states and after[job.number] <= ended]


@functools.cache
def handed_over(trials: int, sigma: float) -> dict[int, set[int]]:
    of = planned(campaign(trials, sigma), "independent")
    return {number: set(jobs) for number, jobs in predecessors(of, 1).items()}


def median(of: CampaignPlan, sigma: float, start: Next) -> float:
    return statistics.median(makespan(of, sigma, seed, start) for seed in range(SEEDS))


def makespan(of: CampaignPlan, sigma: float, seed: int, start: Next) -> float:
    """Return the wall time over its lower bound, trials x minutes / slots."""
    draw = times(sigma, seed)
    left: dict[int, int] = {}
    running: dict[int, int] = defaultdict(int)
    states: dict[int, JobState] = {}
    ends: list[tuple[float, int]] = []
    now, last = 0.0, 0.0

    def begin(number: int, at: float) -> None:
        left[number] -= 1
        running[number] += 1
        heapq.heappush(ends, (at + draw(), number))

    while ends or len(states) < len(of.jobs):
        while ends and ends[0][0] <= now:
            last, number = heapq.heappop(ends)
            running[number] -= 1
            if left[number]:
                begin(number, last)
        for number in [n for n, state in states.items() if not state.status.ended]:
            states[number] = state_of(of.jobs[number - 1], left[number], running[number])
        for job in start(of, states):
            left[job.number] = job.trials
            states[job.number] = state_of(job, job.trials, job.parallel)
            for _ in range(job.parallel):
                begin(job.number, now)
        now += POLL_MINUTES
    return last / (of.campaign.trials * MINUTES / SLOTS)


def list_schedule(trials: int, sigma: float, seed: int) -> float:
    """Return the makespan of one queue of single trials, which no planner beats by much."""
    draw = times(sigma, seed)
    ends = [0.0] * SLOTS
    for _ in range(trials):
        heapq.heapreplace(ends, ends[0] + draw())
    return max(ends) / (trials * MINUTES / SLOTS)


def times(sigma: float, seed: int) -> Callable[[], float]:
    """Return a source of random trial times, the same for every planner."""
    generator = random.Random(seed)
    location = math.log(MINUTES) - sigma * sigma / 2
    return lambda: generator.lognormvariate(location, sigma)


if __name__ == "__main__":
    print_table(results())
