"""Plans of a few trials, each under a name of its own."""

from __future__ import annotations

import itertools
from typing import Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.planning.compare import campaign_of, planned

NUMBERS = itertools.count()
POINTS = [{"lr": 0.03}, {"lr": 0.5}]


def small_plan(strategy: str, trials: int = 24, **changes: Any) -> CampaignPlan:
    """Return a plan of a strategy with four slots, two per tuning job."""
    request = {
        "strategy": "Bayesian",
        "objective": {"metric": "auc", "type": "Maximize"},
        "hyperparameter_ranges": {
            "lr": {"type": "continuous", "min": 0.0001, "max": 1.0, "scaling": "Logarithmic"}
        },
        **changes.pop("request_extras", {}),
    }
    limits = {"instances": 4, "parallel_training_jobs": 2, **changes.pop("limits", {})}
    campaign = campaign_of(
        name=f"credit{next(NUMBERS)}",
        trials=trials,
        minutes_per_trial=1,
        request=request,
        limits=limits,
        **changes,
    )
    return planned(campaign, strategy)


def plan_with_given_settings(strategy: str, trials: int = 40, **more: Any) -> CampaignPlan:
    """Return a plan that trains two points first and repeats the two best settings at the end."""
    repeats = {"hyperparameter": "seed", "seeds": [1, 2, 3], "settings": 2}
    return small_plan(strategy, trials=trials, **{"points": POINTS, "repeats": repeats} | more)
