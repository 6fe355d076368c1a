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
from statistics import NormalDist

from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.startup import startup_minutes, trained_share

_NORMAL = NormalDist()
LOW, HIGH = 0.1, 0.9


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
    """Return the median and the bounds of the 80 % interval; waves vary independently."""
    middle = [_minutes(plan, wave, 0.5) / 60 for wave in range(waves)]
    low = [_minutes(plan, wave, LOW) / 60 for wave in range(waves)]
    high = [_minutes(plan, wave, HIGH) / 60 for wave in range(waves)]
    total = sum(middle)
    return total, total - math.dist(middle, low), total + math.dist(middle, high)


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
    mean = campaign.minutes_per_trial * trained_share(campaign, jobs)
    sigma = campaign.spread
    work = trials / parallel
    # The sum of many trial times varies little, but it varies.
    variation = math.sqrt(math.expm1(sigma * sigma) * trials) / parallel
    body = work + _NORMAL.inv_cdf(quantile) * variation
    residual = math.exp(sigma * sigma) / 2  # mean of one trial's remaining time
    tail = max(0.0, longest_residual(parallel, sigma, quantile) - residual)
    if plan.waves > 1:  # the slowest lane is seldom the one with the longest trial
        tail = math.hypot(tail, _imbalance(jobs, sigma))
    return mean * max(body + tail, 1.0) + startup_minutes(campaign, jobs) / parallel


def _imbalance(jobs: Sequence[PlannedJob], sigma: float) -> float:
    """Return how far the slowest lane falls behind; waves have no small jobs to even lanes out.

    A lane's time is normally distributed around its rounds. Of n lanes, the slowest is about
    sqrt(2 ln n) standard deviations late.
    """
    rounds = max(job.trials / job.parallel for job in jobs)
    width = min(job.parallel for job in jobs)
    deviation = math.sqrt(math.expm1(sigma * sigma) * rounds / width)
    return deviation * math.sqrt(2 * math.log(len(jobs)))


@cache
def longest_residual(parallel: int, sigma: float, quantile: float) -> float:
    """Return the remaining time of the slowest trial at one moment, in mean trial times."""
    if sigma == 0:
        return 1.0
    each = 1 - quantile ** (1 / parallel)
    low, high = 0.0, 1.0
    while _exceeds(high, sigma) > each:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _exceeds(middle, sigma) > each else (low, middle)
    return high


def _exceeds(t: float, sigma: float) -> float:
    """Return P(residual > t) for lognormal times of mean 1."""
    if t <= 0:
        return 1.0
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
    sigma = campaign.spread
    tail = longest_residual(slots, sigma, HIGH) - math.exp(sigma * sigma) / 2
    variation = math.sqrt(math.expm1(sigma * sigma) * campaign.trials) / slots
    rounds = campaign.trials / slots + _NORMAL.inv_cdf(HIGH) * variation + max(0.0, tail)
    return max(1.0, rounds) * campaign.minutes_per_trial / 60
