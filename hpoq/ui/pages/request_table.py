"""The table of requests: those of one page of a selection, each with its outlook."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hpo_dispatcher.contract.entry import Entry
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast, Outlook
from hpoq import presentation
from hpoq.ui import selection
from hpoq.ui.ledger_view import DeploymentState, RequestList, with_counters
from hpoq.ui.selection import Selection
from hpoq.ui.site import Site
from hpoq.wait_reasons import why_of


def request_table(
    site: Site,
    state: DeploymentState | None,
    forecast: Forecast | None,
    found: RequestList,
    chosen: Selection,
    *,
    deadline: float,
) -> dict[str, Any]:
    """Return what the table shows.

    Args:
        site: the pages.
        state: of the deployment; None if it is not known.
        forecast: of the starts; None while it is being estimated.
        found: the requests that have been read.
        chosen: which of them to show.
        deadline: until when to wait for the counters of running requests.
    """
    matching = chosen.matching(found.entries)
    if found.complete:
        chosen = chosen.within(len(matching))
    rows = rows_of(site, state, forecast, chosen.on_page(matching), deadline) if state else []
    return {
        "chosen": chosen,
        "orders": selection.NAMES,
        "rows": rows,
        "first": (chosen.page - 1) * selection.PAGE_SIZE + 1,
        "matching": len(matching),
        "total": len(found.entries),
        "pages": selection.pages(len(matching)),
        "in_queue": any(row["position"] for row in rows),
        "targets": any(row["target"] for row in rows),
    }


def rows_of(
    site: Site,
    state: DeploymentState,
    forecast: Forecast | None,
    entries: Sequence[Entry],
    deadline: float,
) -> list[dict[str, Any]]:
    """Return the rows of requests; running ones with the counters that SageMaker has now."""
    positions = state.positions if forecast is None else forecast
    running = [entry for entry in entries if _counted_by_sagemaker(entry)]
    lives = {e.key: site.account.ledger.live(e, len(running)) for e in running}
    rows = []
    for entry in entries:
        live = lives[entry.key].by(deadline) if entry.key in lives else None
        current = with_counters(entry, live.value) if live and live.value else entry
        outlook = positions.of(entry, datetime.now(UTC))
        row = request_row(current, state, outlook)
        row["loading"] = bool(live and not live.complete)
        row["estimating"] = forecast is None and bool(row["position"])
        rows.append(row)
    return rows


def request_row(entry: Entry, state: DeploymentState | None, outlook: Outlook) -> dict[str, Any]:
    """Return what the pages say about one request."""
    capacity, teams = (state.capacity, state.teams) if state else (None, {})
    return {
        "entry": entry,
        "why": why_of(entry, capacity, teams),
        "position": presentation.queue_position(outlook),
        "starts": presentation.expected(outlook),
        "training_jobs": presentation.training_jobs(entry),
        "best": presentation.objective(entry),
        "waited": presentation.waited(entry),
        "ran": presentation.ran(entry),
        "target": presentation.target(entry),
    }


def _counted_by_sagemaker(entry: Entry) -> bool:
    return entry.status.active and bool(entry.tuning_job_name)
