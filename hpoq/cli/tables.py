"""Requests as tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from hpo_dispatcher.contract.aws_limits import is_total, type_of
from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import HOUR, Entry, Key, Status
from hpo_dispatcher.scheduling.budget import used_until
from hpo_dispatcher.scheduling.forecast.outlooks import Outlook
from hpoq.cli.noted_table import NOTE, NotedTable, table
from hpoq.presentation import (
    duration,
    expected,
    failed_training_jobs,
    objective,
    queue_position,
    ran,
    short,
    target,
    training_jobs,
    waited,
)
from hpoq.wait_reasons import wait_reason, why_of

COLORS = {
    Status.QUEUED: "yellow",
    Status.IN_PROGRESS: "cyan",
    Status.STOPPING: "magenta",
    Status.STOPPED: "magenta",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "dim",
    Status.REJECTED: "red",
}


def status_text(status: Status) -> Text:
    """Return a status in its color."""
    return Text(str(status), style=COLORS[status])


def waiting_fields(
    entry: Entry,
    document: CapacityDocument | None,
    outlook: Outlook,
    teams: Collection[str] = (),
) -> dict[str, Any]:
    """Return why a queued request waits, and its outlook, as ``--json`` shows them."""
    reason = wait_reason(entry, document)
    kind = {"reason_kind": str(reason.kind)} if reason else {}
    return {"reason": why_of(entry, document, teams), **kind, **asdict(outlook)}


def requests_table(
    entries: Sequence[Entry],
    whys: Mapping[Key, str],
    outlooks: Mapping[Key, Outlook],
    teams: bool,
) -> NotedTable:
    """Return the table that ``hpoq list`` shows."""
    team = ["team"] if teams else []
    where = {entry.key: target(entry) for entry in entries}
    targets = ["target"] if any(where.values()) else []
    made = NotedTable(
        ["request", *team, "status", *targets, ">age", ">training jobs", ">best"],
        ["position", "starts", NOTE],
    )
    now = datetime.now(UTC)
    for entry in entries:
        outlook = outlooks.get(entry.key, Outlook())
        found = short(entry.best.hyperparameters) if entry.best else ""
        made.add_row(
            [
                entry.request_id,
                *([entry.team] if teams else []),
                status_text(entry.status),
                *([where[entry.key]] if targets else []),
                duration((now - entry.accepted_at).total_seconds()),
                training_jobs(entry),
                objective(entry),
            ],
            [queue_position(outlook), expected(outlook), whys.get(entry.key) or found],
        )
    return made


def leaderboard(entries: Sequence[Entry]) -> NotedTable:
    """Return a table of results and run times, the best request first."""
    made = NotedTable(
        ["request", "team", ">done", ">failed", ">best", ">waited", ">ran"], ["tuning job", NOTE]
    )
    for entry in sorted(entries, key=_by_objective):
        counters = entry.counters
        made.add_row(
            [
                entry.request_id,
                entry.team,
                str(counters.get("Completed", 0)),
                str(failed_training_jobs(entry)),
                objective(entry),
                waited(entry),
                ran(entry),
            ],
            [
                entry.tuning_job_name,
                short(entry.best.hyperparameters) if entry.best else entry.reason,
            ],
        )
    return made


def _by_objective(entry: Entry) -> tuple[bool, float]:
    if entry.best is None:
        return True, 0.0
    minimize = entry.request is not None and entry.request.minimizes
    return False, entry.best.objective if minimize else -entry.best.objective


def instance_hours(entry: Entry, prices: Mapping[str, float]) -> str:
    """Return the most that a request can use, and what it has used; priced if of one type."""
    if not entry.most_instance_seconds:
        return ""
    before = sum(job.instance_seconds for job in entry.earlier)
    text = f"at most {_priced(entry, before + entry.most_instance_seconds, prices)}"
    if entry.started_at and entry.ended_at:
        used = before + used_until(entry, entry.ended_at)
        text = f"{_priced(entry, used, prices)} used, {text}"
    return text


def _priced(entry: Entry, seconds: int, prices: Mapping[str, float]) -> str:
    text = f"{seconds / HOUR:.3g} instance-hours"
    types = {type_of(resource) for resource in entry.instances if not is_total(resource)}
    price = prices.get(types.pop()) if len(types) == 1 else None
    return text if price is None else f"{text} ({price * seconds / HOUR:.2f} USD)"


def progress(entries: Sequence[Entry], expected: int) -> Table:
    """Return the table that ``hpoq watch`` redraws: a bar of training jobs per request."""
    from rich.progress_bar import ProgressBar

    made = table("request", "team", "status", "", "training jobs", ">best", ">ran")
    for entry in entries:
        total = max(1, entry.max_training_jobs)
        ended = sum(count for name, count in entry.counters.items() if name != "InProgress")
        made.add_row(
            entry.request_id,
            entry.team,
            status_text(entry.status),
            ProgressBar(total=total, completed=min(ended, total), width=10),
            training_jobs(entry),
            objective(entry),
            ran(entry),
        )
    if expected > len(entries):
        made.add_row(f"{expected - len(entries)} not in the ledger yet", "", "", "", "", "", "")
    return made
