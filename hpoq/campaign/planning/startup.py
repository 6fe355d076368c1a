"""Time that passes before trials run, and trials that stop early. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from hpo_dispatcher.contract import aws_limits
from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.model import Campaign

REUSE = 1 / aws_limits.REUSED_INSTANCE_SPEEDUP
RAY_MINUTES = 0.5  # pip installs Ray, and its hosts find each other
# Asynchronous halving continues one trial in this many at each rung (training/script_search).
ASHA_FACTOR = 4
_EXACT = 2_000  # trials; with more, the share is a quarter
# Pairs of a share of the trials and the share of their training that these do.
Parts = tuple[tuple[float, float], ...]
POLL_MINUTES = 0.5  # between two looks of `hpoq campaign run`
_MANY_LOOKS = 10
_NORMAL = NormalDist()


def startup_minutes(campaign: Campaign, jobs: Sequence[PlannedJob]) -> float:
    """Return the start-ups of all trials of some jobs, in minutes of slots."""
    if jobs[0].instances:
        return sum(job.parallel for job in jobs) * (campaign.startup_minutes + RAY_MINUTES)
    first = sum(job.parallel for job in jobs)
    later = sum(job.trials for job in jobs) - first
    reused = campaign.reused_startup_minutes
    each = campaign.startup_minutes * REUSE if reused is None else reused
    return campaign.startup_minutes * first + each * later


def waiting_minutes(campaign: Campaign, jobs: Sequence[PlannedJob], slots: int) -> float:
    """Return how long slots wait for the runner, which looks every half minute, in all.

    The tuning jobs that start at once wait for nothing.
    """
    free, waiting = slots, 0.0
    for job in jobs:
        free -= job.parallel
        if free < 0:
            rounds = job.trials / job.parallel
            took = rounds * campaign.minutes_per_trial + campaign.startup_minutes
            waiting += job.parallel * until_look(took, campaign.spread / math.sqrt(rounds))
    return waiting


def until_look(minutes: float, sigma: float) -> float:
    """Return the expected minutes from the end of a tuning job to the runner's next look.

    A job starts at a look. One that ends long before the next look waits for most of the interval,
    one of many intervals for half of one. The sum is the number of looks after a lognormal time;
    those of a long tail are not counted one by one.

    Args:
        minutes: mean time of the job.
        sigma: spread of the logarithm of its time.
    """
    middle = minutes * math.exp(-sigma * sigma / 2)
    if middle > _MANY_LOOKS * POLL_MINUTES:
        return POLL_MINUTES / 2
    if sigma == 0:
        return POLL_MINUTES * math.ceil(minutes / POLL_MINUTES) - minutes
    time = NormalDist(math.log(middle), sigma)
    looks = 10 * _MANY_LOOKS
    counted = sum(1 - time.cdf(math.log(k * POLL_MINUTES)) for k in range(1, looks + 1))
    later = _mean_beyond((looks + 0.5) * POLL_MINUTES, minutes, sigma)
    return POLL_MINUTES * (1 + counted) + later - minutes


def _mean_beyond(end: float, minutes: float, sigma: float) -> float:
    """Return the expected part of a lognormal time after a moment: E[(X - end)+]."""
    d = math.log(minutes / end) / sigma
    return minutes * _NORMAL.cdf(d + sigma / 2) - end * _NORMAL.cdf(d - sigma / 2)


def trained_parts(campaign: Campaign, jobs: Sequence[PlannedJob]) -> Parts:
    """Return how much of their training trials do, when Ray stops poor ones early.

    A script that prints its objective once cannot be stopped.
    """
    reports = campaign.reports_per_trial
    if not jobs[0].instances or reports == 1:
        return ((1.0, 1.0),)
    trials = max(job.trials for job in jobs)  # each training job compares its own trials
    found, rung, left = [], 1, float(trials)
    while rung < reports:
        further = continuing(left)
        found.append(((left - further) / trials, rung / reports))
        rung, left = rung * ASHA_FACTOR, further
    return (*found, (left / trials, 1.0))


def continuing(trials: float) -> float:
    """Return how many of the trials that reach a rung are expected to continue.

    The halving is asynchronous: a trial continues if it is among the best quarter of those that
    reached the rung before it, and the first three always do. Of n trials in random order, the last
    is among the best k with the probability k / n.
    """
    count = round(trials)
    early = min(count, ASHA_FACTOR - 1)
    exact = range(ASHA_FACTOR, min(count, _EXACT) + 1)
    found = early + sum(n // ASHA_FACTOR / n for n in exact)
    return found + max(0, count - _EXACT) / ASHA_FACTOR
