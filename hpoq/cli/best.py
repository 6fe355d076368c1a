"""The command ``best``."""

from __future__ import annotations

from hpoq.cli.options import AsJson, DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import print_json, say, show


def best(
    request_id: RequestId,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """Show the best training job of a request, with its hyperparameters and model."""
    from hpoq.errors import NotFound

    deployed = client(deployment)
    entry = deployed.live(deployed.get(one_team(team, deployed), request_id))
    if entry.best is None:
        raise NotFound(f"{request_id} is {entry.status} and has no best training job yet")
    model = deployed.model_uri(entry)
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
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    rows = Table.grid(padding=(0, 2))
    for name in ("training_job", "metric", "objective"):
        rows.add_row(name.replace("_", " "), str(found[name]))
    for name, value in sorted(entry.best.hyperparameters.items()):
        rows.add_row(f"  {name}", value)
    if model:
        rows.add_row("model", model)
    show(rows)
    if model:
        say(f"Download the model: aws s3 cp {model} .")
