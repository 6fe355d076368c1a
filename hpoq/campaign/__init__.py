"""Campaigns: tens of thousands of trials, planned, run, resumed, understood.

from hpoq import campaign

comparison = campaign.plan(name="credit", trials=20_000, minutes_per_trial=3, request={...})
comparison.plan().save(Path("credit.json"))
running = campaign.RunningCampaign.queued(Path("credit.json"), team="fraud")
running.run(show=lambda progress: print(campaign.line(progress)))
running.results()
"""

from hpoq.campaign.model import Plan
from hpoq.campaign.planning.account_limits import limits_of
from hpoq.campaign.planning.compare import Comparison, plan
from hpoq.campaign.planning.pilot import measured
from hpoq.campaign.running.progress import line, panel
from hpoq.campaign.running_campaign import RunningCampaign

__all__ = [
    "Comparison", "Plan", "RunningCampaign", "limits_of", "line", "measured", "panel", "plan",
]  # fmt: skip
