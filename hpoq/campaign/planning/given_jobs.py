"""Adds jobs with given settings to a strategy's: the points to start from, and the repeats.

SageMaker's API takes no points to start from (CreateHyperParameterTuningJob has ranges only), so
each point is a tuning job of its own: a Grid with one value of each hyperparameter.
"""

from __future__ import annotations

from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import Shape
from hpoq.campaign.planning.strategies.strategy import Strategy
from hpoq.campaign.planning.waves import next_wave


def all_jobs(campaign: Campaign, strategy: Strategy) -> list[PlannedJob]:
    """Return points, then the jobs of a strategy, then repeats; together, all trials.

    The points belong to the first wave, whose other jobs do not wait for them.

    Raises:
        InvalidPlan: the strategy cannot run the campaign.
    """
    points = [] if strategy.starts_from_points else _jobs_of_points(campaign)
    searched = campaign.trials - len(points) - campaign.repeated
    jobs = strategy.jobs(campaign.model_copy(update={"trials": searched}))
    jobs = [*points, *(_after(job, len(points)) for job in jobs)]
    return [*jobs, *strategy.repeating_jobs(campaign, jobs)]


def _jobs_of_points(campaign: Campaign) -> list[PlannedJob]:
    jobs = next_wave([], [Shape(1, 1)] * len(campaign.points))
    return [job.model_copy(update={"point": job.number}) for job in jobs]


def _after(job: PlannedJob, count: int) -> PlannedJob:
    return job.model_copy(update={"number": job.number + count}) if count else job
