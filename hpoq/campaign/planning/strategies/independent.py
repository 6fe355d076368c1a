"""The strategy ``independent``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.grid import partition, point_count
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import Shape, guided
from hpoq.campaign.planning.strategies.strategy import Strategy, require_whole_grid
from hpoq.campaign.planning.waves import next_wave


class IndependentStrategy(Strategy):
    """Tuning jobs side by side, each with its own seed or its own part of the grid."""

    name = "independent"
    learns = "none between tuning jobs"
    preference = 50
    advantage = "tuning jobs start and end without waiting for each other"

    def jobs(self, campaign: Campaign) -> list[PlannedJob]:
        """Return tuning jobs that together hold all trials of the campaign."""
        if campaign.search == "Grid":
            return _grid_parts(campaign)
        return next_wave([], shrinking_shapes(campaign, campaign.trials))

    def more_jobs(
        self, campaign: Campaign, before: Sequence[PlannedJob], trials: int
    ) -> list[PlannedJob]:
        """Return tuning jobs that add trials after the existing jobs, as further waves."""
        return next_wave(before, shrinking_shapes(campaign, trials))


def shrinking_shapes(campaign: Campaign, trials: int) -> list[Shape]:
    """Return tuning jobs that shrink toward the end, within the campaign's limits."""
    return guided(
        trials,
        slots=campaign.slots,
        tuning_jobs=campaign.limits.tuning_jobs,
        parallel=campaign.limits.parallel_training_jobs,
        max_trials=campaign.max_trials_per_job,
    )


def _grid_parts(campaign: Campaign) -> list[PlannedJob]:
    require_whole_grid(campaign)
    width = min(campaign.limits.parallel_training_jobs, campaign.slots)
    # At least two parts of equal size per lane, so that the last ones even out.
    wanted = math.ceil(campaign.trials / (2 * math.ceil(campaign.slots / width)))
    max_points = min(campaign.limits.training_jobs, max(wanted, width))
    parts = list(partition(campaign.grid or {}, max_points))
    sizes = [point_count(part) for part in parts]
    order = sorted(range(len(parts)), key=lambda index: -sizes[index])
    return [
        PlannedJob(
            number=number, trials=sizes[index], parallel=min(width, sizes[index]),
            values=parts[index],
        )
        for number, index in enumerate(order, 1)
    ]  # fmt: skip
