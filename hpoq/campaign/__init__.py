"""Campaigns: searches of tens of thousands of trials over many tuning jobs.

from hpoq import campaign

comparison = campaign.plan(name="credit", trials=20_000, minutes_per_trial=3, request={...})
comparison.plan().save(Path("credit.json"))
running = campaign.RunningCampaign.queued(Path("credit.json"), team="fraud")
running.run(show=lambda progress: print(campaign.line(progress)))
running.results()
"""

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.planning.account_limits import limits_of
from hpoq.campaign.planning.compare import Comparison, plan
from hpoq.campaign.planning.pilot import measured
from hpoq.campaign.running.display import line, panel
from hpoq.campaign.running_campaign import RunningCampaign

__all__ = [
    "CampaignPlan", "Comparison", "RunningCampaign",
    "limits_of", "line", "measured", "panel", "plan",
]  # fmt: skip
