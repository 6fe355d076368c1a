"""Campaigns: tens of thousands of trials, planned, run, resumed, understood.

from hpoq import campaign

comparison = campaign.plan(name="credit", trials=20_000, minutes_per_trial=3, request={...})
comparison.plan().save(Path("credit.json"))
running = campaign.RunningCampaign.queued(Path("credit.json"), team="fraud")
running.run(show=lambda progress: print(campaign.line(progress)))
running.results()
"""

from hpoq.campaign.account_limits import limits_of
from hpoq.campaign.campaign import RunningCampaign
from hpoq.campaign.model import Plan
from hpoq.campaign.pilot import measured
from hpoq.campaign.planning import Comparison, plan
from hpoq.campaign.progress import line, panel

__all__ = [
    "Comparison", "Plan", "RunningCampaign", "limits_of", "line", "measured", "panel", "plan",
]  # fmt: skip
