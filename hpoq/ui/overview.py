"""The overview page and the page of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, ResourceUse
from hpo_dispatcher.contract.entry import Entry, Status
from hpoq import presentation
from hpoq.forecast import why
from hpoq.presentation import entry_fields
from hpoq.ui import render
from hpoq.ui.account import RUNNING, Account, RequestList

SHOWN = 100  # requests; all are in `hpoq list`


def overview(account: Account, _: Mapping[str, str]) -> str:
    """Render the overview: requests, capacity and the newest tuning jobs."""
    requests = account.requests()
    listed = account.tuning_jobs()
    ordered = sorted(requests.entries, key=lambda entry: entry.status.ended)
    rows = [_row(entry, requests) for entry in ordered[:SHOWN]]
    return render.page(
        "overview.html",
        account=account.name,
        note=requests.note,
        silence=_silence(requests),
        counts=_counts(requests.entries),
        rows=rows,
        left_out=max(0, len(ordered) - SHOWN),
        in_queue=any(row["position"] for row in rows),
        several_teams=len({entry.team for entry in requests.entries}) > 1,
        uses=_uses(requests.capacity),
        as_of=requests.capacity.at if requests.capacity else None,
        tuning_jobs=listed.summaries,
        more=listed.next_token,
        running=RUNNING,
    )


def request(account: Account, _: Mapping[str, str], team: str, request_id: str) -> str:
    """Render the page of one request."""
    entry = account.request(team, request_id)
    return render.page(
        "request.html",
        account=account.name,
        **_row(entry, account.requests()),
        sent=entry_fields(entry).get("request"),
    )


def _row(entry: Entry, requests: RequestList) -> dict[str, Any]:
    outlook = requests.forecast.of(entry, datetime.now(UTC))
    return {
        "entry": entry,
        "why": why(entry, requests.capacity),
        "position": presentation.queue_position(outlook),
        "starts": presentation.expected(outlook),
        "training_jobs": presentation.training_jobs(entry),
        "best": presentation.objective(entry),
        "waited": presentation.waited(entry),
        "ran": presentation.ran(entry),
    }


def _counts(entries: Sequence[Entry]) -> dict[str, int]:
    """Count the requests by status."""
    counts = {str(status): 0 for status in (Status.QUEUED, Status.IN_PROGRESS, Status.COMPLETED)}
    for entry in entries:
        counts[entry.status] = counts.get(entry.status, 0) + 1
    return counts


def _silence(requests: RequestList) -> str:
    """Return a line about a dispatcher that has fallen silent; empty if none is known to."""
    capacity = requests.capacity
    return presentation.silence(capacity.at, datetime.now(UTC)) if capacity else ""


def _uses(capacity: CapacityDocument | None) -> list[dict[str, Any]]:
    """Return the use of each resource, by team."""
    resources = capacity.resources.items() if capacity else ()
    return [{"name": name, "share": _share(use), **use.model_dump()} for name, use in resources]


def _share(use: ResourceUse) -> float | None:
    return min(1.0, use.in_use / use.limit) if use.limit else None
