"""The strategy ``ray``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import even, lanes
from hpoq.campaign.planning.strategies.strategy import Strategy
from hpoq.campaign.planning.waves import next_wave
from hpoq.campaign.ray_space import problem_with_space

# Instances of one training job. The lost work after a failure grows with them, and in an account
# without increased quotas, a training job has at most 20 (docs.aws.amazon.com/general/latest/gr/
# sagemaker.html, "Number of instances for a training job").
MAX_INSTANCES = 20


class RayStrategy(Strategy):
    """Few training jobs of several instances each; Ray runs the trials inside."""

    name = "ray"
    learns = "from all trials of the same training job; poor trials stop early"
    preference = 60
    advantage = "Ray runs the trials inside a few training jobs, without a start-up for each"

    def jobs(self, campaign: Campaign) -> list[PlannedJob]:
        """Return tuning jobs of one training job each that together hold all trials."""
        return self.more_jobs(campaign, (), campaign.trials)

    def more_jobs(
        self, campaign: Campaign, before: Sequence[PlannedJob], trials: int
    ) -> list[PlannedJob]:
        """Return further training jobs, which start when the existing ones have ended."""
        if campaign.search == "Grid":
            raise InvalidPlan("Ray searches at random or learns. Use another strategy for a Grid")
        if campaign.instances_per_trial > 1:
            raise InvalidPlan("Ray's trials share instances, but each trial needs several")
        if problem := problem_with_space(campaign.template_request.hyperparameter_ranges):
            raise InvalidPlan(problem)
        each = campaign.trials_per_instance
        instances = min(campaign.slots, math.ceil(trials / each))
        widths = lanes(instances, MAX_INSTANCES)[: campaign.limits.tuning_jobs]
        shapes = even(trials, widths)
        return [
            job.model_copy(update={"instances": width, "parallel": min(job.trials, width * each)})
            for job, width in zip(next_wave(before, shapes), widths, strict=True)
        ]
