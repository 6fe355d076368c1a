"""``hpoq status``."""

from __future__ import annotations

from hpoq.cli.options import AsJson, DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import entry_fields, print_json, show


def status(
    request_id: RequestId,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """One request: where it stands, what it waits for, what it has found."""
    of = client(deployment)
    entry = of.live(of.get(one_team(team, of), request_id))
    wait = next(
        (
            each
            for each in of.capacity().get("waiting", [])
            if (each["team"], each["request_id"]) == entry.key
        ),
        None,
    )
    if as_json:
        print_json(entry_fields(entry) | ({"waiting": wait} if wait else {}))
        return
    from rich.table import Table

    from hpoq.cli.output import short
    from hpoq.cli.tables import instance_hours, objective, ran, status_text, training_jobs, waited

    made = Table.grid(padding=(0, 2))
    reason = entry.reason or (wait or {}).get("reason", "")
    best = entry.best
    rows = {
        "request": f"{entry.request_id} (team {entry.team})",
        "status": status_text(entry.status),
        "why": reason,
        "template": entry.template,
        "tuning job": entry.tuning_job_name,
        "training jobs": training_jobs(entry),
        "costs": instance_hours(entry, of.settings.deployment.prices),
        "best": f"{objective(entry)} {best.metric} by {best.name}" if best else "",
        "with": short(best.hyperparameters, 120) if best else "",
        "waited": waited(entry),
        "ran": ran(entry),
    }
    for name, value in rows.items():
        if value:
            made.add_row(name, value)
    show(made)
