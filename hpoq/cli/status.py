"""``hpoq status``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpoq.cli.dispatcher_state import say_state, warn_of_unread_targets
from hpoq.cli.options import AsJson, DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import print_json, show
from hpoq.presentation import entry_fields

if TYPE_CHECKING:
    from rich.text import Text

    from hpo_dispatcher.contract.documents.capacity import CapacityDocument
    from hpo_dispatcher.contract.entry import Entry
    from hpo_dispatcher.scheduling.forecast.outlooks import Outlook
    from hpoq.client import Client


def status(
    request_id: RequestId,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """Show one request: its status, what it waits for, and what it has found."""
    from datetime import UTC, datetime

    from hpo_dispatcher.contract.entry import Status
    from hpo_dispatcher.scheduling.forecast.outlooks import Forecast
    from hpoq.cli.tables import waiting_fields
    from hpoq.errors import NotFound

    of = client(deployment)
    named = one_team(team, of)
    try:
        entry = of.live(of.get(named, request_id))
    except NotFound:
        say_state(of, of.capacity(), [named])
        raise
    warn_of_unread_targets(of, [entry])
    queued = entry.status is Status.QUEUED
    document = of.capacity() if queued else None
    if not entry.status.ended:
        say_state(of, document or of.capacity(), [named])
    forecast = Forecast(document, of.settings.deployment.teams)
    outlook = forecast.of(entry, datetime.now(UTC), of.queued_between)
    if entry.blocked and (reason := _waits_for(of, entry)):
        entry = replace(entry, reason=reason)
    if as_json:
        waiting = (
            {"waiting": waiting_fields(entry, document, outlook, of.teams())} if queued else {}
        )
        print_json(entry_fields(entry) | waiting)
        return
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    for name, value in _rows(of, entry, document, outlook).items():
        if value:
            made.add_row(name, value)
    show(made)


def reason_of(of: Client, entry: Entry, document: CapacityDocument | None) -> str:
    """Return why a request waits, failed or was rejected."""
    from hpoq.wait_reasons import why_of

    waits = _waits_for(of, entry) if entry.blocked else ""
    return waits or why_of(entry, document, of.settings.deployment.teams)


def _waits_for(of: Client, entry: Entry) -> str:
    """Return which requests a blocked one waits for: their states, and which are unknown."""
    from hpo_dispatcher.contract.entry import BlockedEntry
    from hpo_dispatcher.scheduling.dependencies import Ready, judge

    blocked = BlockedEntry.of(entry)
    verdict = judge(blocked, of.get_all(entry.team, blocked.parents), {})
    return "" if isinstance(verdict, Ready) else verdict.reason


def _rows(
    of: Client, entry: Entry, document: CapacityDocument | None, outlook: Outlook
) -> dict[str, str | Text]:
    from hpoq import presentation
    from hpoq.cli import tables

    best = entry.best
    return {
        "request": f"{entry.request_id} (team {entry.team})",
        "status": tables.status_text(entry.status),
        "why": reason_of(of, entry, document),
        "position": presentation.queue_position(outlook),
        "starts": presentation.expected(outlook),
        "template": entry.template,
        "tuning job": entry.tuning_job_name,
        "target": presentation.target(entry),
        "earlier": ", ".join(job.tuning_job_name for job in entry.earlier),
        "training jobs": presentation.training_jobs(entry),
        "costs": tables.instance_hours(entry, of.settings.deployment.prices),
        "best": f"{presentation.objective(entry)} {best.metric} by {best.name}" if best else "",
        "with": presentation.short(best.hyperparameters, 120) if best else "",
        "waited": presentation.waited(entry),
        "ran": presentation.ran(entry),
    }
