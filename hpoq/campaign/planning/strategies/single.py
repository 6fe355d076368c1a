"""The strategy ``single``."""

from __future__ import annotations

from collections.abc import Sequence

from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import Shape
from hpoq.campaign.planning.strategies.independent import shrinking_shapes
from hpoq.campaign.planning.strategies.strategy import Strategy, require_whole_grid
from hpoq.campaign.planning.waves import next_wave


class SingleStrategy(Strategy):
    """One tuning job."""

    name = "single"
    learns = "one search sees all trials"
    preference = 20
    advantage = "one tuning job holds all trials and learns from each of them"

    def jobs(self, campaign: Campaign) -> list[PlannedJob]:
        """Return tuning jobs that together hold all trials of the campaign."""
        max_trials = campaign.max_trials_per_job
        if campaign.trials > max_trials:
            raise InvalidPlan(f"one tuning job holds at most {max_trials} trials")
        require_whole_grid(campaign)
        return next_wave([], [_shape(campaign, campaign.trials)])

    def more_jobs(
        self, campaign: Campaign, before: Sequence[PlannedJob], trials: int
    ) -> list[PlannedJob]:
        """Return independent jobs for the trials beyond the limit of one tuning job."""
        if trials > campaign.max_trials_per_job:
            return next_wave(before, shrinking_shapes(campaign, trials))
        return next_wave(before, [_shape(campaign, trials)])


def _shape(campaign: Campaign, trials: int) -> Shape:
    width = min(campaign.limits.parallel_training_jobs, campaign.slots, trials)
    return Shape(trials, width)
