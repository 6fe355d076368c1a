"""The time and cost of a plan, estimated without running it.

Trial times are assumed to be lognormal with the given mean. A wave works at full parallelism until
its last trials; it ends with the longest of them. Their residual times follow from renewal theory:
P(residual > t) = E[(X - t)+] / E[X], which has a closed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from statistics import NormalDist

from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.startup import (
    POLL_MINUTES,
    RAY_MINUTES,
    Parts,
    startup_minutes,
    trained_parts,
    waiting_minutes,
)

_NORMAL = NormalDist()
LOW, HIGH = 0.1, 0.9
# Of the formulas, as a share of the time, so that 80 % intervals hold eight of ten simulated
# campaigns of every strategy (benchmarks/planner.py).
MODEL_ERROR = 0.02
WHOLE: Parts = ((1.0, 1.0),)  # no trial stops early


@dataclass(frozen=True, kw_only=True)
class PlanEstimate:
    """The estimated time, size and cost of a plan."""

    strategy: str
    tuning_jobs: int
    largest: int  # trials of the largest tuning job
    smallest: int
    at_once: int  # most tuning jobs that run at the same time
    waves: int
    parallel: int  # most trials that run at the same time
    instances: int
    hours: float
    hours_low: float  # one campaign in ten is faster
    hours_high: float  # one campaign in ten is slower
    instance_hours: float
    cost: float | None  # USD
    bound_by: str


def estimate(plan: CampaignPlan) -> PlanEstimate:
    """Return wall-clock time with its spread, instance-hours, cost, and the binding limit."""
    campaign = plan.campaign
    waves = [plan.wave(number) for number in range(1, plan.waves + 1)]
    at_once = max(_at_once([job.parallel for job in wave], plan) for wave in waves)
    parallel = max(min(plan.slots, sum(job.parallel for job in wave)) for wave in waves)
    middle, low, high = _hours(plan, len(waves))
    instance_hours = _instance_hours(plan, waves)
    price = campaign.price_per_hour
    return PlanEstimate(
        strategy=plan.strategy,
        tuning_jobs=len(plan.jobs),
        largest=max(job.trials for job in plan.jobs),
        smallest=min(job.trials for job in plan.jobs),
        at_once=at_once,
        waves=plan.waves,
        parallel=parallel,
        instances=_instances(plan, parallel),
        hours=middle,
        hours_low=low,
        hours_high=high,
        instance_hours=instance_hours,
        cost=None if price is None else instance_hours * price,
        bound_by=_bound_by(plan, parallel),
    )


def _instances(plan: CampaignPlan, parallel: int) -> int:
    if not plan.jobs[0].instances:
        return parallel * plan.campaign.instances_per_trial
    waves = (plan.wave(number) for number in range(1, plan.waves + 1))
    return max(sum(job.instances for job in wave) for wave in waves)


def _instance_hours(plan: CampaignPlan, waves: Sequence[Sequence[PlannedJob]]) -> float:
    """Return the hours on instances; Ray's training jobs keep theirs until the last trial ends."""
    campaign = plan.campaign
    if plan.jobs[0].instances:
        return sum(
            _minutes(plan, index, 0.5) / 60 * sum(job.instances for job in wave)
            for index, wave in enumerate(waves)
        )
    return campaign.trials * campaign.minutes_per_trial / 60 * campaign.instances_per_trial


def _hours(plan: CampaignPlan, waves: int) -> tuple[float, float, float]:
    """Return the median and the bounds of the 80 % interval; waves vary independently.

    The times of waves are skewed: a sum of medians is less than the median of the sum, which is
    about the sum of means. The mean is 0.3, 0.4 and 0.3 of these quantiles (Swanson's rule; Hurst,
    Brown and Swanson, AAPG Bulletin 84, 2000).
    """
    low, middle, high = (
        [_minutes(plan, wave, quantile) / 60 for wave in range(waves)]
        for quantile in (LOW, 0.5, HIGH)
    )
    means = [0.3 * a + 0.4 * b + 0.3 * c for a, b, c in zip(low, middle, high, strict=True)]
    total = middle[0] if waves == 1 else sum(means)
    center = middle if waves == 1 else means
    formula = _model_error(plan.campaign) * total
    # Nothing has measured how long Ray takes to start: where it is installed, it takes seconds.
    unmeasured = RAY_MINUTES / 2 / 60 if plan.jobs[0].instances else 0.0
    return (
        total,
        max(0.0, total - math.hypot(math.dist(center, low), formula, unmeasured)),
        total + math.hypot(math.dist(center, high), formula, unmeasured),
    )


def _model_error(campaign: Campaign) -> float:
    """Return the error of the formulas as a share; none where all trials take the same time."""
    return MODEL_ERROR if campaign.spread else 0.0


def _at_once(parallels: list[int], plan: CampaignPlan) -> int:
    """Return how many of the narrowest tuning jobs fit side by side."""
    free, count = plan.slots, 0
    for parallel in sorted(parallels):
        free -= parallel
        if free < 0:
            break
        count += 1
    return min(count, plan.campaign.limits.tuning_jobs)


def _minutes(plan: CampaignPlan, wave_index: int, quantile: float) -> float:
    campaign = plan.campaign
    jobs = plan.wave(wave_index + 1)
    trials = sum(job.trials for job in jobs)
    parallel = min(plan.slots, sum(job.parallel for job in jobs), trials)
    parts = trained_parts(campaign, jobs)
    rounds, width, lanes = trials / parallel, parallel, 1
    start = startup_minutes(campaign, jobs)
    idle = start + waiting_minutes(campaign, jobs, plan.slots)
    sigma = campaign.spread
    at_once = _at_once_of(jobs, plan.slots)
    if plan.waves > 1 or jobs[0].instances or not _evens_out(jobs):
        rounds = max(rounds, *(job.trials / job.parallel for job in jobs))
        width, lanes = min(job.parallel for job in jobs), at_once
        drained = (math.ceil(len(jobs) / lanes) - 1) * _draining(width, sigma, parts)
    else:  # each of the narrow jobs has a start-up of its own
        idle += parallel * campaign.startup_minutes / 2
        narrow = math.ceil(plan.slots / campaign.limits.tuning_jobs)
        later = [job.parallel for job in jobs[at_once:] if job.parallel <= narrow]
        drained = sum(each * _draining(each, sigma, parts) for each in later) / parallel
    trained = _trial_times(rounds, width, sigma, parts, quantile ** (1 / lanes))
    between = POLL_MINUTES / 2 if wave_index else 0.0
    return campaign.minutes_per_trial * (trained + drained) + idle / parallel + between


def _evens_out(jobs: Sequence[PlannedJob]) -> bool:
    """Return whether the last jobs are so small that they even the ends of the others out.

    Where the number of tuning jobs binds, they are as wide as the others, and hold fewer trials.
    """
    return jobs[-1].parallel < jobs[0].parallel or 2 * jobs[-1].trials <= jobs[0].trials


def _at_once_of(jobs: Sequence[PlannedJob], slots: int) -> int:
    """Return how many of the first jobs fit side by side."""
    used = accumulate(job.parallel for job in jobs)
    return max(1, sum(each <= slots for each in used))


def _trial_times(rounds: float, width: int, sigma: float, parts: Parts, quantile: float) -> float:
    """Return how many mean trial times slots work until their last trial has ended.

    The slowest of n lanes has taken less than the q-quantile if each of them has, so each of them
    is at its own quantile q ** (1 / n).

    Args:
        rounds: trials per slot.
        width: slots.
        sigma: spread of the trials' times.
        parts: how much of their training trials do.
        quantile: of the lane.
    """
    share = sum(each * part for each, part in parts)
    squares = sum(each * part * part for each, part in parts) * math.exp(sigma * sigma)
    # The sum of many trial times varies little, but it varies.
    deviation = _NORMAL.inv_cdf(quantile) * math.sqrt((squares - share * share) * rounds / width)
    worked = share * rounds
    middle = longest_residual(width, sigma, 0.5, parts, worked)
    tail = longest_residual(width, sigma, quantile, parts, worked) - middle
    late = math.copysign(math.hypot(deviation, tail), deviation)
    residual = squares / share / 2  # mean of one trial's remaining time
    return max(share * rounds + max(0.0, middle - residual) + late, share)


def _draining(width: int, sigma: float, parts: Parts) -> float:
    """Return how long the average slot of a tuning job is empty until its last trial has ended."""
    share = sum(each * part for each, part in parts)
    squares = sum(each * part * part for each, part in parts) * math.exp(sigma * sigma)
    return max(0.0, longest_residual(width, sigma, 0.5, parts) - squares / share / 2)


@cache
def longest_residual(
    parallel: int,
    sigma: float,
    quantile: float,
    parts: Parts = WHOLE,
    rounds: float = math.inf,
) -> float:
    """Return the remaining time of the slowest trial at one moment, in mean trial times.

    Args:
        parallel: slots, each of which runs a trial at that moment.
        sigma: spread of the trials' times.
        quantile: of the remaining time.
        parts: how much of their training trials do.
        rounds: mean trial times since the first trials began: none can have run for longer.
    """
    if sigma == 0 and parts == WHOLE:
        return 1.0
    each = 1 - quantile ** (1 / parallel)
    low, high = 0.0, 1.0
    while _exceeds(high, sigma, parts, rounds) > each:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        exceeds = _exceeds(middle, sigma, parts, rounds)
        low, high = (middle, high) if exceeds > each else (low, middle)
    return high


def _exceeds(t: float, sigma: float, parts: Parts, rounds: float) -> float:
    """Return P(residual > t) for lognormal times of mean 1, of which trials do parts."""
    share = sum(each * part for each, part in parts)
    return sum(
        each * part / share
        * (_whole_exceeds(t / part, sigma) - _whole_exceeds((t + rounds) / part, sigma))
        for each, part in parts
    )  # fmt: skip


def _whole_exceeds(t: float, sigma: float) -> float:
    if sigma == 0 or t == math.inf:
        return max(0.0, 1 - t)
    d = -math.log(t) / sigma
    return _NORMAL.cdf(d + sigma / 2) - t * _NORMAL.cdf(d - sigma / 2)


def _bound_by(plan: CampaignPlan, parallel: int) -> str:
    campaign = plan.campaign
    limits = campaign.limits
    if plan.jobs[0].instances and _instances(plan, parallel) < campaign.slots:
        return f"{campaign.trials} trials"
    if parallel < plan.slots:
        if len(plan.jobs) == 1 and parallel == limits.parallel_training_jobs:
            return f"{limits.parallel_training_jobs} parallel training jobs of one tuning job"
        return f"{campaign.trials} trials"
    by_jobs = limits.tuning_jobs * limits.parallel_training_jobs
    if limits.instances is not None and campaign.slots < by_jobs:
        return f"{limits.instances} instances of {campaign.instance_type}"
    return f"{limits.tuning_jobs} tuning jobs of {limits.parallel_training_jobs} in parallel"


def slots_needed(campaign: Campaign, hours: float) -> float:
    """Return how many trials at once finish in time, tail included; infinity if none would."""
    low, high = 1, 1 << 20
    if _total_hours(campaign, high) > hours:
        return math.inf
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _total_hours(campaign, middle) <= hours else (middle + 1, high)
    return low


def _total_hours(campaign: Campaign, slots: int) -> float:
    slots = min(slots, campaign.trials)
    rounds, sigma = campaign.trials / slots, campaign.spread
    middle, high = (_trial_times(rounds, slots, sigma, WHOLE, each) for each in (0.5, HIGH))
    return (middle + math.hypot(high - middle, _model_error(campaign) * middle)) * (
        campaign.minutes_per_trial / 60
    )
