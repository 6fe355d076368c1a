"""``hpoq campaign``: many tuning jobs as one search."""

from __future__ import annotations

import typer

from hpoq.cli.campaign.control import cancel, extend, pause, resume
from hpoq.cli.campaign.plan import PlanCommand, plan
from hpoq.cli.campaign.results import report, results
from hpoq.cli.campaign.run import run

app = typer.Typer(
    help="Plan, run and analyze campaigns: searches over many tuning jobs.",
    no_args_is_help=True,
)
app.command(cls=PlanCommand)(plan)
app.command()(run)
app.command()(pause)
app.command()(resume)
app.command()(cancel)
app.command()(extend)
app.command()(results)
app.command()(report)
