"""The strategy ``ray``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import Shape, even, lanes
from hpoq.campaign.planning.strategies.strategy import Strategy
from hpoq.campaign.planning.waves import next_wave
from hpoq.campaign.ray_space import problem_with_points, problem_with_space, settings_per_job

# More instances would need a raised quota, and more work is lost when a training job fails.
MAX_INSTANCES = aws_limits.INSTANCES_PER_JOB


class RayStrategy(Strategy):
    """Few training jobs of several instances each; Ray runs the trials inside."""

    name = "ray"
    learns = "from all trials of the same training job; poor trials stop early"
    preference = 60
    advantage = "Ray runs the trials inside a few training jobs, without a start-up for each"
    starts_from_points = True

    def jobs(self, campaign: Campaign) -> list[PlannedJob]:
        """Return tuning jobs of one training job each that together hold all trials."""
        return self.more_jobs(campaign, (), campaign.trials)

    def more_jobs(
        self, campaign: Campaign, before: Sequence[PlannedJob], trials: int
    ) -> list[PlannedJob]:
        """Return further training jobs, which start when the existing ones have ended."""
        if campaign.search == "Grid":
            raise InvalidPlan("Ray searches at random or learns. Use another strategy for a Grid")
        if not campaign.suits_ray:
            raise InvalidPlan("Ray starts a script for each trial, but the training job runs none")
        if campaign.limits.targets > 1 or campaign.request.get("targets", [HOME]) != [HOME]:
            raise InvalidPlan(
                'Ray\'s training jobs name places at home. Set targets of the request to ["home"]'
            )
        if campaign.instances_per_trial > 1:
            raise InvalidPlan("Ray's trials share instances, but each trial needs several")
        problem = problem_with_space(campaign.ranges) or problem_with_points(campaign.points)
        if problem:
            raise InvalidPlan(problem)
        each = campaign.trials_per_instance
        instances = min(campaign.slots, math.ceil(trials / each))
        widths = lanes(instances, MAX_INSTANCES)[: campaign.limits.tuning_jobs]
        shapes = even(trials, widths)
        return [
            job.model_copy(update={"instances": width, "parallel": min(job.trials, width * each)})
            for job, width in zip(next_wave(before, shapes), widths, strict=True)
        ]

    def repeating_jobs(self, campaign: Campaign, before: Sequence[PlannedJob]) -> list[PlannedJob]:
        """Return training jobs that train the best settings with each seed, as a last wave.

        A training job gets its settings as one hyperparameter, whose length is limited.
        """
        wanted = campaign.repeats
        if wanted is None:
            return []
        seeds, each = len(wanted.seeds), campaign.trials_per_instance
        ranks = list(range(1, wanted.settings + 1))
        count = settings_per_job(campaign.template_request.hyperparameter_ranges)
        chunks = [tuple(ranks[n : n + count]) for n in range(0, len(ranks), count)]
        if len(chunks) > campaign.slots:
            most = campaign.slots * count
            raise InvalidPlan(f"Ray can repeat {most} settings at once, not {wanted.settings}")
        free = min(campaign.slots // len(chunks), MAX_INSTANCES)
        widths = [min(free, math.ceil(len(chunk) * seeds / each)) for chunk in chunks]
        shapes = [
            Shape(len(chunk) * seeds, min(len(chunk) * seeds, width * each))
            for chunk, width in zip(chunks, widths, strict=True)
        ]
        return [
            job.model_copy(update={"instances": width, "repeats": chunk})
            for job, chunk, width in zip(next_wave(before, shapes), chunks, widths, strict=True)
        ]
