"""``hpoq campaign pause``, ``resume``, ``cancel`` and ``extend``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.campaign.options import PlanFile
from hpoq.cli.output import counted, say

if TYPE_CHECKING:
    from hpoq.campaign.running.control import Command


def pause(plan: PlanFile) -> None:
    """Start no further tuning jobs; running ones continue. A runner must be running to see this."""
    _send(plan, "pause")
    say(f"paused. To resume: hpoq campaign resume {plan}")


def resume(plan: PlanFile) -> None:
    """Undo a pause or a cancel."""
    _send(plan, "run")
    say(f"resumed. If no runner is running: hpoq campaign run {plan}")


def cancel(plan: PlanFile) -> None:
    """Stop all tuning jobs at the runner's next poll. Without a runner, run the campaign once."""
    _send(plan, "cancel")
    say(f"a runner stops the jobs at its next poll. If none is running: hpoq campaign run {plan}")


def extend(
    plan: PlanFile, trials: Annotated[int, typer.Argument(help="Number of trials to add.")]
) -> None:
    """Add trials. A runner picks them up at its next poll."""
    from hpoq.campaign.campaign_plan import CampaignPlan
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.campaign.many_models import plan_files
    from hpoq.campaign.planning.compare import extended

    members = plan_files(plan)
    if "" not in members:
        names = ", ".join(str(file) for file in members.values())
        raise InvalidPlan(f"{plan} has several models. Extend one of {names}")
    longer = extended(CampaignPlan.load(plan), trials)
    longer.save(plan)
    jobs = counted(len(longer.jobs), "tuning job")
    say(f"the plan now has {longer.campaign.trials:,} trials in {jobs}")


def _send(plan: Path, command: Command) -> None:
    from hpoq.campaign.campaign_plan import CampaignPlan
    from hpoq.campaign.many_models import plan_files
    from hpoq.campaign.running.control import Control

    files = list(plan_files(plan).values())
    for file in files:
        CampaignPlan.load(file)
    for file in files:
        Control(file).send(command)
