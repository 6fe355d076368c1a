"""The page of one request, and the actions on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from werkzeug.exceptions import BadRequest
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.scheduling.forecast.outlooks import Outlook
from hpoq import presentation
from hpoq.presentation import entry_fields
from hpoq.ui.pages.campaign_requests import campaign_of
from hpoq.ui.pages.request_table import request_row
from hpoq.ui.site import Site

ACTIONS = ("cancel", "hold", "release", "priority")


def request(site: Site, query: Mapping[str, str], team: str, request_id: str) -> str:
    """Render the page of one request."""
    deadline, ledger = site.deadline(), site.account.ledger
    pending = ledger.state()
    entry = ledger.request(team, request_id)
    failing = bool(entry.tuning_job_name) and presentation.failed_training_jobs(entry) > 0
    failures = ledger.failures(entry).by(deadline) if failing else None
    state = pending.by(deadline).value
    forecast = ledger.forecast(state).by(deadline).value if state else None
    positions = forecast or (state.positions if state else None)
    outlook = positions.of(entry, datetime.now(UTC)) if positions else Outlook()
    sent = query.get("sent", "")
    return site.page(
        "request.html",
        **request_row(entry, state, outlook),
        campaign=campaign_of(entry),
        unread=site.account.client.why_unread(entry) if entry.status.active else "",
        estimating=state is not None and forecast is None and outlook.position is not None,
        failures=failures.value if failures else None,
        failures_note=failures.note if failures else "",
        loading=bool(failures and not failures.complete),
        request=entry_fields(entry).get("request"),
        actions=actions_on(entry) if site.form_token else (),
        sent=sent if sent in ACTIONS else "",
    )


def act(site: Site, form: Mapping[str, str], team: str, request_id: str, action: str) -> Response:
    """Send an action on a request, then show the request's page again."""
    fields: dict[str, Any] = {"request_id": request_id}
    if action == "priority":
        fields["priority"] = _whole_number(form.get("priority", ""))
    try:
        site.account.ledger.act(team, action, **fields)
    except InvalidRequest as error:
        raise BadRequest(str(error)) from None
    place = f"/requests/{quote(team, safe='')}/{quote(request_id, safe='')}?sent={action}"
    return redirect(place, 303)


def actions_on(entry: Entry) -> tuple[str, ...]:
    """Return the actions that change a request in its state."""
    if entry.status is Status.QUEUED:
        return ("priority", "release" if entry.on_hold else "hold", "cancel")
    return ("cancel",) if entry.status is Status.IN_PROGRESS else ()


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRequest("priority must be a whole number") from None
