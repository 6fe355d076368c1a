"""The strategy ``narrowing``."""

from __future__ import annotations

from collections.abc import Sequence

from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import divided, even, lanes, split
from hpoq.campaign.planning.strategies.strategy import Strategy, require_bayesian
from hpoq.campaign.planning.waves import next_wave, wave_count

# Narrowed ranges can miss the optimum, so this share of each wave's slots keeps the full ranges.
EXPLORATION_SHARE = 0.2


class NarrowingStrategy(Strategy):
    """Waves whose ranges shrink around the best results of all jobs before."""

    name = "narrowing"
    learns = "ranges from all trials before"
    preference = 30
    advantage = "ranges shrink around the best of all trials, past warm start's limits"

    def jobs(self, campaign: Campaign) -> list[PlannedJob]:
        """Return tuning jobs that together hold all trials of the campaign."""
        require_bayesian(campaign, "narrowing")
        waves = wave_count(campaign)
        if waves < 2:
            raise InvalidPlan("too few trials for a second wave")
        first, *later = divided(campaign.trials, waves)
        widths = lanes(campaign.slots, campaign.limits.parallel_training_jobs)
        jobs = next_wave([], split(even(first, widths), campaign.max_trials_per_job))
        for trials in later:
            jobs += self.more_jobs(campaign, jobs, trials)
        return jobs

    def more_jobs(
        self, campaign: Campaign, before: Sequence[PlannedJob], trials: int
    ) -> list[PlannedJob]:
        """Return further waves; most slots search the narrowed ranges, the others the full ones."""
        slots, parallel = campaign.slots, campaign.limits.parallel_training_jobs
        exploring = max(1, round(EXPLORATION_SHARE * slots)) if slots > 1 else 0
        narrowed = lanes(slots - exploring, parallel)
        full = lanes(exploring, parallel)
        shapes = [
            (shape, index >= len(narrowed))
            for index, whole in enumerate(even(trials, [*narrowed, *full]))
            for shape in split([whole], campaign.max_trials_per_job)
        ]
        jobs = next_wave(before, [shape for shape, _ in shapes])
        return [
            job.model_copy(update={"explores": explores})
            for job, (_, explores) in zip(jobs, shapes, strict=True)
        ]
