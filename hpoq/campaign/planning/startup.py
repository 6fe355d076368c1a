"""Time that passes before trials run, and trials that stop early. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.model import Campaign

# "Amazon SageMaker Automatic Model Tuning now reuses SageMaker Training instances to reduce
# start-up overheads by 20x" (AWS, What's New, September 2022).
REUSE = 1 / 20
RAY_MINUTES = 0.5  # pip installs Ray, and its hosts find each other
# Asynchronous halving continues one trial in this many at each rung (training/script_search).
ASHA_FACTOR = 4


def startup_minutes(campaign: Campaign, jobs: Sequence[PlannedJob]) -> float:
    """Return the start-ups of all trials of some jobs, in minutes of slots."""
    if not campaign.startup_minutes:
        return 0.0
    if jobs[0].instances:
        return sum(job.parallel for job in jobs) * (campaign.startup_minutes + RAY_MINUTES)
    first = sum(job.parallel for job in jobs)
    later = sum(job.trials for job in jobs) - first
    return campaign.startup_minutes * (first + later * REUSE)


def trained_share(campaign: Campaign, jobs: Sequence[PlannedJob]) -> float:
    """Return which share of the training is left when Ray stops poor trials early.

    A script that prints its objective once cannot be stopped.
    """
    reports = campaign.reports_per_trial
    if not jobs[0].instances or reports == 1:
        return 1.0
    trained, rung, left = 0.0, 0, 1.0
    following = 1
    while rung < reports:
        trained += left * (min(following, reports) - rung)
        rung, following, left = following, following * ASHA_FACTOR, left / ASHA_FACTOR
    return trained / reports
