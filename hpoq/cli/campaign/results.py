"""``hpoq campaign results`` and ``hpoq campaign report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hpoq.cli.campaign.options import Direct, PlanFile, campaign_to_read
from hpoq.cli.campaign.tables import best_trials
from hpoq.cli.options import AsJson, DeploymentName, Team
from hpoq.cli.output import say, show


def results(
    plan: PlanFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File (.parquet or .csv) for all trials.")
    ] = None,
    optuna: Annotated[
        str | None, typer.Option(help="Also write an Optuna study, e.g. sqlite:///study.db.")
    ] = None,
    top: Annotated[int, typer.Option(help="Number of trials to show.")] = 10,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    direct: Direct = False,
    as_json: AsJson = False,
) -> None:
    """Show the best trials, or write all trials so far, including failed ones."""
    campaign = campaign_to_read(plan, team, deployment, direct=direct)
    table = campaign.results()
    if out:
        from hpoq.campaign.results.table import save

        save(table, out)
        say(f"wrote {len(table):,} trials to {out}")
    if optuna:
        from hpoq.campaign.results.optuna_study import export

        study = export(campaign.plan, table, optuna)
        say(f"study {study.study_name} holds {len(study.trials):,} trials")
    if as_json:
        sys.stdout.write(table.to_json(orient="records", date_format="iso", indent=2) + "\n")
    elif not out and not optuna:
        show(best_trials(table, top))


def report(
    plan: PlanFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="HTML file. Default: NAME.html")
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option("--compare", help="Plan file of a campaign to compare with. Repeatable."),
    ] = None,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    direct: Direct = False,
) -> None:
    """Write a report of the campaign as one HTML file, and print its path."""
    campaign = campaign_to_read(plan, team, deployment, direct=direct)
    others = [campaign_to_read(each, team, deployment, direct=direct) for each in compare or ()]
    path = campaign.report(out or Path(f"{campaign.plan.campaign.name}.html"), others)
    sys.stdout.write(f"{path}\n")
