"""The strategy ``warm-waves``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpo_dispatcher.contract.request import MAX_PARENTS
from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import divided, even, lanes, split
from hpoq.campaign.planning.strategies.strategy import Strategy, require_bayesian
from hpoq.campaign.planning.waves import next_wave, wave_count


class WarmWavesStrategy(Strategy):
    """Waves of tuning jobs, each warm-started from the best of the wave before."""

    name = "warm-waves"
    learns = "from the best five of the wave before"
    preference = 40
    advantage = "each wave learns from the best five tuning jobs before"

    def jobs(self, campaign: Campaign) -> list[PlannedJob]:
        """Return tuning jobs that together hold all trials of the campaign."""
        require_bayesian(campaign, "warm start")
        waves = max(wave_count(campaign), _min_waves(campaign, campaign.trials))
        if waves < 2:
            raise InvalidPlan("too few trials for a second wave")
        return _waves(campaign, [], divided(campaign.trials, waves))

    def more_jobs(
        self, campaign: Campaign, before: Sequence[PlannedJob], trials: int
    ) -> list[PlannedJob]:
        """Return tuning jobs that add trials after the existing jobs, as further waves."""
        return _waves(campaign, before, divided(trials, _min_waves(campaign, trials)))


def _max_trials_per_job(campaign: Campaign) -> int:
    """Return the trials that a tuning job may hold beside those of its parents."""
    count = len(lanes(campaign.slots, campaign.limits.parallel_training_jobs))
    max_trials = campaign.limits.training_jobs // (min(count, MAX_PARENTS) + 1)
    if max_trials < 1:
        raise InvalidPlan("parents' trials count toward a tuning job's limit and leave no room")
    return max_trials


def _min_waves(campaign: Campaign, trials: int) -> int:
    widths = lanes(campaign.slots, campaign.limits.parallel_training_jobs)
    per_wave = max(1, sum(widths) * _max_trials_per_job(campaign) // max(widths))
    return math.ceil(trials / per_wave)


def _waves(
    campaign: Campaign, before: Sequence[PlannedJob], trials_of_waves: Sequence[int]
) -> list[PlannedJob]:
    widths = lanes(campaign.slots, campaign.limits.parallel_training_jobs)
    jobs = list(before)
    for trials in trials_of_waves:
        previous = sum(job.wave == jobs[-1].wave for job in jobs) if jobs else 0
        parents = min(previous, MAX_PARENTS)
        shapes = split(even(trials, widths), _max_trials_per_job(campaign))
        jobs += [job.model_copy(update={"parents": parents}) for job in next_wave(jobs, shapes)]
    return jobs[len(before) :]
