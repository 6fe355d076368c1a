"""The settings that a campaign trained with several seeds, ranked by their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.results.table import SEARCHED

if TYPE_CHECKING:
    import pandas as pd


def by_setting(plan: CampaignPlan, table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per repeated setting, best mean first.

    The best of many trials is partly luck, so a search's best objective is too good on average. The
    mean over seeds is not.

    Args:
        plan: plan of the campaign.
        table: from ``hpoq.campaign.results.table.frame``.

    Returns:
        One ``hp.<name>`` column per searched hyperparameter, then trials (usable ones), mean, std
        (missing for one trial), lowest and highest objective.
    """
    repeating = {job.number for job in plan.jobs if job.repeats}
    names = [SEARCHED + name for name in plan.campaign.template_request.hyperparameter_ranges]
    rows = table[table["job"].isin(repeating) & table["usable"]]
    found = rows.groupby(names, dropna=False, observed=True)["objective"].agg(
        trials="size", mean="mean", std="std", lowest="min", highest="max"
    )
    ascending = not plan.campaign.maximize
    return found.reset_index().sort_values("mean", ascending=ascending, ignore_index=True)
