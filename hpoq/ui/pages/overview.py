"""The overview page: what is in use, the requests and the newest tuning jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, ResourceUse
from hpo_dispatcher.contract.entry import Entry, Status
from hpoq import presentation
from hpoq.forecast import Forecast, Outlook, why_of
from hpoq.ui import selection
from hpoq.ui.account import RUNNING
from hpoq.ui.ledger_view import DeploymentState, RequestList, TeamMessages, with_counters
from hpoq.ui.selection import Selection
from hpoq.ui.site import Site

# Statuses in the order of a request's life.
ORDER = (
    Status.IN_PROGRESS, Status.STOPPING, Status.QUEUED, Status.COMPLETED, Status.STOPPED,
    Status.FAILED, Status.REJECTED, Status.CANCELLED,
)  # fmt: skip
ALWAYS = (Status.IN_PROGRESS, Status.QUEUED, Status.COMPLETED)  # counts that are shown at 0, too
NOTHING = RequestList(entries=(), complete=True, left_out=(), notes=())


def overview(site: Site, query: Mapping[str, str]) -> str:
    """Render the overview; what is not known within the patience of the site appears later."""
    deadline, ledger = site.deadline(), site.account.ledger
    tuning_jobs = site.account.newest_tuning_jobs()
    known = ledger.state().by(deadline)
    state = known.value
    requests = ledger.requests(state) if state else lambda _: NOTHING
    queues = [ledger.queues(team) for team in state.shown] if state else []
    forecast = ledger.forecast(state) if state else None
    found = requests(deadline)
    chosen = Selection.of(query)
    matching = chosen.matching(found.entries)
    chosen = chosen.within(len(matching)) if found.complete else chosen
    outlooks = forecast.by(deadline) if forecast else None
    rows = request_rows(
        site, state, outlooks.value if outlooks else None, chosen.on_page(matching), deadline
    )
    messages = [each.value for queue in queues if (each := queue.by(deadline)).value]
    listed = tuning_jobs.by(deadline)
    loading = not (known.complete and found.complete and listed.complete) or any(
        row["loading"] for row in rows
    )
    return site.page(
        "overview.html",
        notes=[*_notes(known.note, found), *_state_notes(state, messages)],
        loading=loading,
        reading=None if found.complete and known.complete else len(found.entries),
        counts=_counts(state, found),
        dead_letters=sum(each.dead_letters for each in messages),
        uses=_uses(state.capacity if state else None),
        as_of=state.capacity.at if state and state.capacity else None,
        chosen=chosen,
        orders=selection.NAMES,
        statuses=ORDER,
        teams=state.shown if state else (),
        rows=rows,
        first=(chosen.page - 1) * selection.PAGE_SIZE + 1,
        matching=len(matching),
        total=len(found.entries),
        pages=selection.pages(len(matching)),
        deployed=state is not None,
        in_queue=any(row["position"] for row in rows),
        tuning_jobs=listed.value.summaries if listed.value else None,
        tuning_jobs_note=listed.note,
        more=listed.value.next_token if listed.value else "",
        running=RUNNING,
    )


def request_rows(
    site: Site,
    state: DeploymentState | None,
    forecast: Forecast | None,
    entries: Sequence[Entry],
    deadline: float,
) -> list[dict[str, Any]]:
    """Return the rows of requests; running ones with the counters that SageMaker has now."""
    if state is None:
        return []
    positions = state.positions if forecast is None else forecast
    lives = {e.key: site.account.ledger.live(e) for e in entries if _counted_by_sagemaker(e)}
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
    }


def _counted_by_sagemaker(entry: Entry) -> bool:
    return entry.status.active and bool(entry.tuning_job_name)


def _notes(state_note: str, found: RequestList) -> list[str]:
    """Return why something of the deployment is not shown."""
    left_out = ", ".join(found.left_out)
    denied = [f"Left out, because you may not read their requests: {left_out}"] if left_out else []
    return [*([state_note] if state_note else []), *denied, *found.notes]


def _state_notes(state: DeploymentState | None, messages: Sequence[TeamMessages]) -> list[str]:
    """Return lines about a silent dispatcher and about messages that wait for a cycle."""
    if state is None:
        return []
    last_cycle = state.capacity.at if state.capacity else None
    silence = presentation.silence(last_cycle, datetime.now(UTC))
    waiting = [
        presentation.not_taken_in(each.team, each.messages) for each in messages if each.messages
    ]
    return [*([silence] if silence else []), *waiting]


def _counts(state: DeploymentState | None, found: RequestList) -> dict[str, int | None]:
    """Count the requests by status; None for what is not known yet."""
    if state is None:
        return {}
    if found.complete:
        by_status = Counter(entry.status for entry in found.entries)
        return {str(each): by_status[each] for each in ORDER if each in ALWAYS or by_status[each]}
    capacity = state.capacity
    running, queued = None, None
    if capacity:  # known before all requests have been read
        running = sum(job.team in state.shown for job in capacity.running)
        queued = sum(q.queued for team, q in capacity.queues.items() if team in state.shown)
    return {str(ALWAYS[0]): running, str(ALWAYS[1]): queued, str(ALWAYS[2]): None}


def _uses(capacity: CapacityDocument | None) -> list[dict[str, Any]]:
    """Return the use of each resource, by team."""
    resources = capacity.resources.items() if capacity else ()
    return [{"name": name, "share": _share(use), **use.model_dump()} for name, use in resources]


def _share(use: ResourceUse) -> float | None:
    return min(1.0, use.in_use / use.limit) if use.limit else None
