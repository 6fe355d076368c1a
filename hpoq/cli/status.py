"""``hpoq status``."""

from __future__ import annotations

from dataclasses import asdict

from hpoq.cli.options import AsJson, DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import entry_fields, print_json, show


def status(
    request_id: RequestId,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """One request: where it stands, what it waits for, what it has found."""
    from datetime import UTC, datetime

    from hpo_dispatcher.contract.entry import Status
    from hpoq.forecast import Forecast, why

    of = client(deployment)
    entry = of.live(of.get(one_team(team, of), request_id))
    queued = entry.status is Status.QUEUED
    seen = of.capacity() if queued else {}
    outlook = Forecast(seen, of.settings.deployment.teams).of(entry, datetime.now(UTC))
    if as_json:
        wait = {"reason": why(entry, seen), **asdict(outlook)}
        print_json(entry_fields(entry) | ({"waiting": wait} if queued else {}))
        return
    from rich.table import Table
    from rich.text import Text

    from hpoq.cli.output import short
    from hpoq.cli.tables import (
        expected,
        instance_hours,
        objective,
        place,
        ran,
        status_text,
        training_jobs,
        waited,
    )  # fmt: skip

    made = Table.grid(padding=(0, 2))
    best = entry.best
    rows: dict[str, str | Text] = {
        "request": f"{entry.request_id} (team {entry.team})",
        "status": status_text(entry.status),
        "why": why(entry, seen),
        "place": place(outlook),
        "starts": expected(outlook),
        "template": entry.template,
        "tuning job": entry.tuning_job_name,
        "earlier": ", ".join(job.tuning_job_name for job in entry.earlier),
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
