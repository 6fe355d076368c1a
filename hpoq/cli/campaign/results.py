"""``hpoq campaign results`` and ``hpoq campaign report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.campaign.options import (
    Direct,
    PlanFile,
    campaign_to_read,
    campaigns_to_read,
)
from hpoq.cli.campaign.tables import best_trials, repeated_settings
from hpoq.cli.options import AsJson, DeploymentName, Team
from hpoq.cli.output import say, show

if TYPE_CHECKING:
    import pandas as pd

    from hpoq.campaign.results.curves import LearningCurves
    from hpoq.campaign.running_campaign import RunningCampaign


def results(
    plan: PlanFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File (.parquet or .csv) for all trials.")
    ] = None,
    optuna: Annotated[
        str | None, typer.Option(help="Also write an Optuna study, e.g. sqlite:///study.db.")
    ] = None,
    mlflow: Annotated[
        str | None,
        typer.Option(help="Also write MLflow runs; address of a server, or sqlite:///mlflow.db."),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(help="File (.parquet or .csv) for the learning curves of some trials."),
    ] = None,
    curve_trials: Annotated[
        int, typer.Option(min=1, help="Trials whose logs are read for --curves.")
    ] = 20,
    top: Annotated[int, typer.Option(help="Number of trials to show.")] = 10,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    direct: Direct = False,
    settings: Annotated[
        bool,
        typer.Option("--settings", help="Show the mean of the settings that --seeds repeated."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the best trials, or write all trials so far, including failed ones."""
    campaigns = campaigns_to_read(plan, team, deployment, direct=direct)
    if settings:
        for campaign in campaigns.values():
            show(repeated_settings(campaign.plan, campaign.results()))
        return
    table = _table(campaigns)
    if out:
        from hpoq.campaign.results.table import save

        save(table, out)
        say(f"wrote {len(table):,} trials to {out}")
    if optuna:
        from hpoq.campaign.results.optuna_study import export

        for model, campaign in campaigns.items():
            study = export(campaign.plan, _of_model(table, model), optuna)
            say(f"study {study.study_name} holds {len(study.trials):,} trials")
    for model, campaign in campaigns.items() if curves or mlflow else ():
        own = _of_model(table, model)
        found = campaign.curves(own, curve_trials)
        if curves:
            _save_curves(found, curves.with_stem(f"{curves.stem}-{model}") if model else curves)
        if mlflow:
            from hpoq.campaign.results import mlflow_runs

            client = mlflow_runs.tracking_client(mlflow)
            added = mlflow_runs.export(campaign.plan, own, client, found.table)
            say(f"added {added:,} runs to the experiment {campaign.plan.campaign.name}")
    if as_json:
        sys.stdout.write(table.to_json(orient="records", date_format="iso", indent=2) + "\n")
    elif not (out or optuna or curves or mlflow):
        show(best_trials(table, top))


def _save_curves(found: LearningCurves, path: Path) -> None:
    from hpoq.campaign.results.table import save

    save(found.table, path)
    trials = found.table["trial"].nunique()
    say(found.note or f"wrote the learning curves of {trials:,} trials to {path}")


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
    """Write a report of the campaign as one HTML file, and print its path.

    Of several models, write a report each, which compares it with the others. With --out, write
    that of the first model.
    """
    models = list(campaigns_to_read(plan, team, deployment, direct=direct).values())
    compared = [campaign_to_read(each, team, deployment, direct=direct) for each in compare or ()]
    for campaign in models[:1] if out else models:
        others = [each for each in models if each is not campaign] + compared
        path = campaign.report(out or Path(f"{campaign.plan.campaign.name}.html"), others)
        sys.stdout.write(f"{path}\n")


def _table(campaigns: dict[str, RunningCampaign]) -> pd.DataFrame:
    """Return the trials of one campaign, or of several models as one table."""
    from hpoq.campaign.many_models import ManyModels

    return campaigns[""].results() if "" in campaigns else ManyModels(campaigns).results()


def _of_model(table: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the trials of one model; of a single campaign, all."""
    return table[table["model"] == model] if model else table
