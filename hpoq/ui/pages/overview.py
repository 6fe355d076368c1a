"""The overview page: what is in use, the requests and the newest tuning jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, ResourceUse
from hpo_dispatcher.contract.entry import Status
from hpoq import presentation
from hpoq.ui.account import RUNNING, TuningJobs
from hpoq.ui.background import Known
from hpoq.ui.ledger_view import DeploymentState, RequestList, TeamMessages
from hpoq.ui.pages.request_table import request_table
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
    estimate = forecast.by(deadline).value if forecast else None
    table = request_table(site, state, estimate, found, Selection.of(query), deadline=deadline)
    messages = [each.value for queue in queues if (each := queue.by(deadline)).value]
    listed = tuning_jobs.by(deadline)
    reading = not (known.complete and found.complete)
    return site.page(
        "overview.html",
        **_figures(state, found, messages),
        **_capacity(state.capacity if state else None),
        **table,
        **_tuning_jobs(listed),
        notes=[*_notes(known.note, found), *_state_notes(state, messages)],
        deployed=state is not None,
        teams=state.shown if state else (),
        statuses=ORDER,
        reading=len(found.entries) if reading else None,
        loading=reading or not listed.complete or any(row["loading"] for row in table["rows"]),
    )


def _figures(
    state: DeploymentState | None, found: RequestList, messages: Sequence[TeamMessages]
) -> dict[str, Any]:
    letters = sum(each.dead_letters for each in messages)
    return {"counts": _counts(state, found), "dead_letters": letters}


def _capacity(capacity: CapacityDocument | None) -> dict[str, Any]:
    return {"uses": _uses(capacity), "as_of": capacity.at if capacity else None}


def _tuning_jobs(listed: Known[TuningJobs]) -> dict[str, Any]:
    return {
        "tuning_jobs": listed.value.summaries if listed.value else None,
        "tuning_jobs_note": listed.note,
        "more": listed.value.next_token if listed.value else "",
        "running": RUNNING,
    }


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
    problems = state.capacity.problems.values() if state.capacity else ()
    return [*([silence] if silence else []), *problems, *waiting]


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
