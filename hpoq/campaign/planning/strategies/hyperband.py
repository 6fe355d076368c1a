"""The strategy ``hyperband``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.shapes import Shape, divided, even, lanes, split
from hpoq.campaign.planning.strategies.strategy import Strategy
from hpoq.campaign.planning.waves import next_wave


class HyperbandStrategy(Strategy):
    """Tuning jobs that stop poor trials early, each as large as possible for its brackets."""

    name = "hyperband"
    learns = "none between tuning jobs; poor trials stop early"
    preference = 10
    advantage = "the request asks for Hyperband, which spends little on poor trials"

    def jobs(self, campaign: Campaign) -> list[PlannedJob]:
        """Return tuning jobs that together hold all trials of the campaign."""
        if campaign.search != "Hyperband":
            raise InvalidPlan('the request does not set "strategy": "Hyperband"')
        return next_wave([], _brackets(campaign, campaign.trials))

    def more_jobs(
        self, campaign: Campaign, before: Sequence[PlannedJob], trials: int
    ) -> list[PlannedJob]:
        """Return tuning jobs that add trials after the existing jobs, as further waves."""
        return next_wave(before, _brackets(campaign, trials))


# Hyperband stops a trial that does worse than earlier ones. Trials that all start at once have none
# before them, so a tuning job holds several times as many trials as it runs at once.
ROUNDS = 3


def _brackets(campaign: Campaign, trials: int) -> list[Shape]:
    max_trials = campaign.limits.training_jobs
    if min(trials, max_trials) < ROUNDS:
        raise InvalidPlan(
            f"Hyperband compares trials with earlier ones, so a tuning job needs at least {ROUNDS}"
        )
    slots = min(campaign.slots, trials // ROUNDS)
    widths = lanes(slots, min(campaign.limits.parallel_training_jobs, max_trials // ROUNDS))
    rounds = math.ceil(trials / (len(widths) * max_trials))
    parts = [even(n, widths) for n in divided(trials, rounds)]
    shapes = split([shape for part in parts for shape in part], max_trials)
    return [Shape(each.trials, min(each.parallel, each.trials // ROUNDS)) for each in shapes]
