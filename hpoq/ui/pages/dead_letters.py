"""The page of rejected messages: what was sent, and why it was rejected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hpo_dispatcher.contract.message import request_id_in
from hpoq.client import DeadLetter
from hpoq.ui.site import Site


def dead_letters(site: Site, query: Mapping[str, str]) -> str:
    """Render the rejected messages of the shown teams, or of one of them."""
    deadline, ledger = site.deadline(), site.account.ledger
    known = ledger.state().by(deadline)
    teams = known.value.shown if known.value else ()
    chosen = query.get("team", "")
    shown = [team for team in teams if chosen in ("", team)]
    counts = {team: ledger.queues(team) for team in shown}
    letters = {team: ledger.dead_letters(team) for team in shown}
    parts = []
    for team in shown:
        count, found = counts[team].by(deadline), letters[team].by(deadline)
        rows = [_row(letter) for letter in found.value or ()]
        total = max(len(rows), count.value.dead_letters if count.value else 0)
        parts.append(
            {"team": team, "rows": rows, "total": total, "loading": not found.complete,
             "note": found.note}
        )  # fmt: skip
    return site.page(
        "dead_letters.html",
        teams=teams,
        chosen=chosen,
        parts_by_team=parts,
        note=known.note,
        loading=not known.complete or any(part["loading"] for part in parts),
    )


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "letter": letter,
        "request_id": request_id_in(letter.body, letter.message_id),
        "body": _indented(letter.body),
    }


def _indented(body: str) -> str:
    """Return a message as indented JSON; unchanged if it is not valid JSON."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
