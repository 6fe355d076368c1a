"""Compare the planner's ranges and recommendations with simulated campaigns.

    python -m benchmarks planner

Each of 200 random settings is planned with every strategy, and each plan is simulated trial by
trial:
the runner's own rule starts tuning jobs, the first trial of a slot starts an instance, later ones
reuse it, Ray's asynchronous halving stops poor trials. Hyperband is simulated without stopping, as
the planner plans it. Prints shares of the settings.
"""

from __future__ import annotations

import functools
import heapq
import math
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Measure, at_least, at_most, print_table, shown
from hpo_dispatcher.contract.entry import Status
from hpoq.campaign.backends.job_state import JobState
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.planning.compare import Comparison, Option, plan
from hpoq.campaign.planning.startup import ASHA_FACTOR, RAY_MINUTES, REUSE
from hpoq.campaign.planning.strategies.registry import STRATEGIES
from hpoq.campaign.running.schedule import due

NAME = "planner"
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))  # whose scripts import it so
SETTINGS = 200
FIRST_SEED = 10_000  # the planner's constants were chosen with smaller ones
POLL_MINUTES = 0.5
EQUAL = 1.05  # times the fastest that counts as the fastest: two simulated times differ by chance


@dataclass(frozen=True)
class Simulated:
    """A plan and what it took."""

    option: Option
    hours: float
    cost: float


def results() -> Iterable[Measure]:
    """Yield the coverage by strategy, and how often the recommendation was right."""
    within: dict[str, list[bool]] = defaultdict(list)
    errors: dict[str, list[float]] = defaultdict(list)
    right = []
    for seed in range(FIRST_SEED, FIRST_SEED + SETTINGS):
        comparison = plan(**setting(seed))
        found = {each.option.strategy: each for each in simulated(comparison, seed)}
        for name, each in found.items():
            needed = each.option.estimate
            assert needed is not None
            within[name].append(needed.hours_low <= each.hours <= needed.hours_high)
            errors[name].append(abs(needed.hours - each.hours) / each.hours)
        right.append(is_right(comparison, found))
    for name in STRATEGIES:
        held = statistics.fmean(within[name])
        yield shown(NAME, f"{name}: plans simulated", len(within[name]))
        yield at_least(NAME, f"{name}: wall clock within the 80 % range", held, 0.75)
        yield at_most(NAME, "  not more often than stated", held, 0.9)
        yield shown(NAME, "  median relative error", statistics.median(errors[name]))
    yield at_least(NAME, "recommended: fastest within goals, to 5 %", statistics.fmean(right), 0.9)


def setting(seed: int) -> dict[str, Any]:
    """Return a random campaign."""
    draw = random.Random(seed)
    minutes = math.exp(draw.uniform(math.log(0.5), math.log(30)))
    instances = draw.choice([5, 10, 20, 50, 100])
    trials = int(math.exp(draw.uniform(math.log(50), math.log(5_000))))
    startup, spread = draw.choice([0.0, 1.0, 3.0, 5.0]), draw.uniform(0.1, 0.9)
    fastest = trials * minutes / instances / 60
    return {
        "name": "planner", "trials": trials, "minutes_per_trial": minutes, "spread": spread,
        "startup_minutes": startup, "seed": seed, "price_per_hour": 1.0,
        "trials_per_instance": draw.choice([1, 1, 2, 4]),
        "reports_per_trial": draw.choice([1, 1, 5, 20]),
        "limits": {"instances": instances},
        "deadline_hours": draw.choice([None, fastest * draw.uniform(1.2, 4.0) + 0.5]),
        "budget": draw.choice([None, trials * minutes / 60 * draw.uniform(0.8, 2.0)]),
        "request": {
            "objective": {"metric": "auc", "type": "Maximize"},
            "strategy": draw.choice(["Bayesian", "Bayesian", "Random", "Hyperband"]),
            "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}},
            "overrides": {
                "HyperParameterTuningJobConfig": {
                    "StrategyConfig": {
                        "HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 9}
                    }
                }
            },
        },
    }  # fmt: skip


def is_right(comparison: Comparison, found: dict[str, Simulated]) -> bool:
    """Return whether the recommended strategy kept the goals as fast as the fastest that did.

    Args:
        comparison: the planner's.
        found: what each strategy took.
    """
    campaign = comparison.campaign
    keeping = {
        name: each.hours
        for name, each in found.items()
        if each.hours <= (campaign.deadline_hours or math.inf)
        and each.cost <= (campaign.budget or math.inf)
    }
    if not keeping:
        return not comparison.option().fits or len(found) == 1
    if comparison.recommended not in keeping:
        return False
    return keeping[comparison.recommended] <= min(keeping.values()) * EQUAL


def simulated(comparison: Comparison, seed: int) -> Iterator[Simulated]:
    """Simulate the plan of each strategy."""
    for option in comparison.options:
        if option.plan is None:
            continue
        run = ray_campaign if option.plan.jobs[0].instances else campaign
        minutes, instance_minutes = run(option.plan, random.Random(f"{seed}/{option.strategy}"))
        price = comparison.campaign.price_per_hour or 0.0
        yield Simulated(option, minutes / 60, instance_minutes / 60 * price)


def campaign(of: CampaignPlan, draw: random.Random) -> tuple[float, float]:
    """Return the minutes until all tuning jobs have ended, and those of instances in use."""
    trained = minutes_of(of, draw)
    startup = of.campaign.startup_minutes
    left: dict[int, int] = {}
    running: dict[int, int] = defaultdict(int)
    states: dict[int, JobState] = {}
    ends: list[tuple[float, int]] = []
    now, used = 0.0, 0.0

    def begin(number: int, at: float, start: float) -> float:
        left[number] -= 1
        running[number] += 1
        took = trained()
        heapq.heappush(ends, (at + start + took, number))
        return took

    while True:
        for job in due(of, states):
            left[job.number] = job.trials
            used += sum(begin(job.number, now, startup) for _ in range(job.parallel))
            states[job.number] = state_of(job, left[job.number], running[job.number])
        if not ends:
            return now, used * of.campaign.instances_per_trial
        drained = False
        while ends and not drained:  # until a tuning job gives back a slot
            now, number = heapq.heappop(ends)
            running[number] -= 1
            if left[number]:
                used += begin(number, now, startup * REUSE)
            else:
                drained = True
                states[number] = state_of(of.job(number), 0, running[number])
        poll = now + draw.uniform(0, POLL_MINUTES)
        while ends and ends[0][0] <= poll:
            at, number = heapq.heappop(ends)
            running[number] -= 1
            if left[number]:
                used += begin(number, at, startup * REUSE)
            else:
                states[number] = state_of(of.job(number), 0, running[number])
            now = at
        if len(states) < len(of.jobs):
            now = poll


def state_of(job: PlannedJob, left: int, running: int) -> JobState:
    """Return the state of a tuning job with so many trials that have not started, and that run."""
    ended = not left and not running
    return JobState(
        number=job.number,
        status=Status.COMPLETED if ended else Status.IN_PROGRESS,
        completed=job.trials - left - running,
        running=running,
    )


def ray_campaign(of: CampaignPlan, draw: random.Random) -> tuple[float, float]:
    """Return the minutes until all training jobs have ended, and those of their instances."""
    total = used = 0.0
    for wave in range(1, of.waves + 1):
        took = [(job, ray_job(of, job, draw)) for job in of.wave(wave)]
        total += max(minutes for _, minutes in took)
        used += sum(minutes * job.instances for job, minutes in took)
    return total, used


def ray_job(of: CampaignPlan, job: PlannedJob, draw: random.Random) -> float:
    """Return the minutes of one training job, in which poor trials stop early."""
    from script_search.halving import Halving

    trained = minutes_of(of, draw)
    reports = of.campaign.reports_per_trial
    halving = Halving(1, ASHA_FACTOR, maximize=True)
    start = of.campaign.startup_minutes + RAY_MINUTES
    # An event is a report of a trial: its time, its step, its quality and the minutes to the next.
    events: list[tuple[float, int, float, float]] = []
    waiting, last = job.trials, start
    for _ in range(job.parallel):
        each = trained() / reports
        heapq.heappush(events, (start + each, 1, draw.random(), each))
        waiting -= 1
    while events:
        at, step, quality, each = heapq.heappop(events)
        if step < reports and halving.continues(step, quality):
            heapq.heappush(events, (at + each, step + 1, quality, each))
            continue
        last = at
        if waiting:
            waiting -= 1
            each = trained() / reports
            heapq.heappush(events, (at + each, 1, draw.random(), each))
    return last


def minutes_of(of: CampaignPlan, draw: random.Random) -> functools.partial[float]:
    """Return a source of the minutes of trials."""
    sigma = of.campaign.spread
    location = math.log(of.campaign.minutes_per_trial) - sigma * sigma / 2
    return functools.partial(draw.lognormvariate, location, sigma)


if __name__ == "__main__":
    print_table(results())
