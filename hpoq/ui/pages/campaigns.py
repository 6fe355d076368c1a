"""The pages of campaigns: all of them, and one with its tuning jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from werkzeug.wrappers import Response

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.errors import NotFound
from hpoq.ui.descriptions import at_target
from hpoq.ui.figures import loading
from hpoq.ui.ledger_view import DeploymentState, RequestList
from hpoq.ui.pages.campaign_requests import CampaignRequests, campaigns_in
from hpoq.ui.pages.request_table import rows_of
from hpoq.ui.site import Site

LISTED = 50  # tuning jobs of a campaign: running ones first, then the best
SHOWN = (Status.COMPLETED, Status.IN_PROGRESS, Status.QUEUED, Status.FAILED)


def campaigns(site: Site, _: Mapping[str, str]) -> str:
    """Render the list of campaigns whose requests the reader may see."""
    deadline = site.deadline()
    state, found, note = _read(site, deadline)
    made = campaigns_in(found.entries) if found else []
    return site.page(
        "campaigns.html",
        campaigns=made,
        now=datetime.now(UTC),
        notes=[*([note] if note else []), *(found.notes if found else ())],
        teams=state.shown if state else (),
        loading=found is None or not found.complete,
    )


def campaign(site: Site, _: Mapping[str, str], team: str, name: str) -> str:
    """Render the page of one campaign."""
    deadline = site.deadline()
    state, made, complete = _one(site, team, name, deadline)
    forecast = site.account.ledger.forecast(state).by(deadline).value if state else None
    first = _most_interesting(made)[:LISTED] if made else []
    rows = rows_of(site, state, forecast, first, deadline) if state else []
    if made:  # with the counters and the best objectives that running tuning jobs have now
        current = {row["entry"].key: row["entry"] for row in rows}
        made = replace(made, entries=[current.get(each.key, each) for each in made.entries])
    return site.page(
        "campaign.html",
        team=team,
        name=name,
        campaign=made,
        statuses=SHOWN,
        rows=rows,
        targets=any(row["target"] for row in rows),
        best_at=at_target(made.best_target) if made else "",
        all_requests=f"/?{urlencode({'team': team, 'text': f'{name}-'})}#requests",
        seconds=_seconds(made) if made else 0.0,
        loading=not complete or any(row["loading"] for row in rows),
    )


def campaign_figures(site: Site, _: Mapping[str, str], team: str, name: str) -> Response:
    """Return the figure of the best objective of each tuning job."""
    _state, made, _complete = _one(site, team, name, site.deadline())
    figures = loading.drawing().of_campaign(made.entries, made.minimizes) if made else {}
    return Response(json.dumps({"": figures}), mimetype="application/json")


def _read(site: Site, deadline: float) -> tuple[DeploymentState | None, RequestList | None, str]:
    known = site.account.ledger.state().by(deadline)
    if known.value is None:
        return None, None, known.note
    return known.value, site.account.ledger.requests(known.value)(deadline), known.note


def _one(
    site: Site, team: str, name: str, deadline: float
) -> tuple[DeploymentState | None, CampaignRequests | None, bool]:
    """Return a campaign as far as its requests have been read, and whether all have been.

    Raises:
        NotFound: no request of the team belongs to it.
    """
    state, found, _ = _read(site, deadline)
    if state is None or found is None:
        return state, None, False
    made = [c for c in campaigns_in(found.entries) if (c.team, c.name) == (team, name)]
    if not made and found.complete:
        raise NotFound(f"team {team} has no requests of a campaign {name}")
    return state, made[0] if made else None, found.complete


def _most_interesting(made: CampaignRequests) -> Sequence[Entry]:
    """Sort running tuning jobs first, then ended ones by their best objective, then the others."""
    sign = 1.0 if made.minimizes else -1.0

    def rank(entry: Entry) -> tuple[int, float, str]:
        if entry.status.active:
            return 0, 0.0, entry.request_id
        if entry.best:
            return 1, sign * entry.best.objective, entry.request_id
        return 2, 0.0, entry.request_id

    return sorted(made.entries, key=rank)


def _seconds(made: CampaignRequests) -> float:
    return ((made.ended or datetime.now(UTC)) - made.began).total_seconds()
