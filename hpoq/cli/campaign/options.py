"""Options of several campaign commands, and the campaign that they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import client, one_team

if TYPE_CHECKING:
    from hpoq.campaign.running_campaign import RunningCampaign

PlanFile = Annotated[Path, typer.Argument(help="Plan file.", show_default=False)]
Direct = Annotated[
    bool, typer.Option("--direct", help="Create tuning jobs from here, without a queue.")
]


def queued_campaign(plan: Path, team: str | None, deployment: str) -> RunningCampaign:
    """Return the campaign of a plan file, run through a team's queue."""
    from hpoq.campaign.campaign_plan import CampaignPlan
    from hpoq.campaign.running_campaign import RunningCampaign

    CampaignPlan.load(plan)  # report a broken file before a missing deployment
    team = one_team(team, client(deployment))
    return RunningCampaign.queued(plan, team, deployment=deployment)


def option_of(team: str | None) -> str:
    """Return the option of the next command; empty if the environment names the team."""
    return f" --team {team}" if team and team != os.environ.get("HPOQ_TEAM") else ""


def campaign_to_read(
    plan: Path, team: str | None, deployment: str, *, direct: bool
) -> RunningCampaign:
    """Return the campaign of a plan file, to read its results."""
    from hpoq.campaign.running_campaign import RunningCampaign

    if direct:
        return RunningCampaign.direct(plan)
    return queued_campaign(plan, team, deployment)


def campaigns_to_read(
    plan: Path, team: str | None, deployment: str, *, direct: bool
) -> dict[str, RunningCampaign]:
    """Return the campaign of each model, to read its results; of a single plan, under ""."""
    from hpoq.campaign.many_models import plan_files

    return {
        model: campaign_to_read(file, team, deployment, direct=direct)
        for model, file in plan_files(plan).items()
    }
