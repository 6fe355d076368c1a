"""The command ``best``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import AsJson, DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import print_json, say, show

if TYPE_CHECKING:
    from hpo_dispatcher.contract.entry import Entry
    from hpoq.client import Client

Download = Annotated[
    Path | None,
    typer.Option(
        "--download", help="Folder to download and unpack the model into.", show_default=False
    ),
]


def best(
    request_id: RequestId,
    download: Download = None,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """Show the best training job of a request, with its hyperparameters and model."""
    from hpoq.errors import NotFound, NotReachable
    from hpoq.presentation import target
    from hpoq.results.models import without_best

    deployed = client(deployment)
    entry = deployed.live(deployed.get(one_team(team, deployed), request_id))
    if entry.best is None:
        if not entry.status.ended and (problem := deployed.why_unread(entry)):
            raise NotReachable(problem)  # it may have one
        raise NotFound(without_best(entry))
    if download is not None:
        from hpoq.results import models

        folder = models.download(deployed, entry, download)
        say(f"the model is in {folder}")
    model, why_not = _model(deployed, entry)
    found = {
        "request_id": entry.request_id,
        "team": entry.team,
        "tuning_job": entry.tuning_job_name,
        "training_job": entry.best.name,
        "metric": entry.best.metric,
        "objective": entry.best.objective,
        "hyperparameters": dict(entry.best.hyperparameters),
        "model": model,
    }
    if where := target(entry):
        found["target"] = where
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    rows = Table.grid(padding=(0, 2))
    for name in ("training_job", "target", "metric", "objective"):
        if name in found:
            rows.add_row(name.replace("_", " "), str(found[name]))
    for name, value in sorted(entry.best.hyperparameters.items()):
        rows.add_row(f"  {name}", value)
    if model:
        rows.add_row("model", model)
    show(rows)
    if model and download is None:
        say(f"Download the model: hpoq best {request_id} --download model")
    if not model:
        say(f"The model is not shown: {why_not}")


def _model(deployed: Client, entry: Entry) -> tuple[str | None, str]:
    """Return where the model is in S3, or None and why that is not known."""
    from hpoq.errors import NotFound

    try:
        model = deployed.model_uri(entry)
    except NotFound as error:
        return None, str(error)
    denied = "your credentials do not allow sagemaker:DescribeTrainingJob. Your team's policy does"
    return model, "" if model else deployed.why_unread(entry) or denied
