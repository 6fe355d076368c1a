"""``hpoq list``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpoq.cli.dispatcher_state import (
    say_state,
    warn_of_left_messages,
    warn_of_unread_targets,
)
from hpoq.cli.options import AllTeams, AsJson, DeploymentName, Team, client, one_team
from hpoq.cli.output import counted, print_json, say, show
from hpoq.presentation import entry_fields

if TYPE_CHECKING:
    from hpo_dispatcher.contract.documents.capacity import CapacityDocument
    from hpo_dispatcher.contract.entry import Entry, Status
    from hpo_dispatcher.scheduling.forecast.outlooks import Outlook
    from hpoq.client import Client

Statuses = Annotated[
    list[str] | None,
    typer.Option("--status", "-s", help="Only these, e.g. -s Queued -s InProgress."),
]
Most = Annotated[
    int, typer.Option("--limit", "-n", min=1, help="Number of requests, newest first.")
]


def list_requests(
    team: Team = None,
    all_teams: AllTeams = False,
    status: Statuses = None,
    limit: Most = 50,
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """List requests, newest first, with queue positions and expected starts."""
    from datetime import UTC, datetime

    from hpo_dispatcher.contract.entry import Status
    from hpo_dispatcher.scheduling.forecast.outlooks import Forecast
    from hpoq.wait_reasons import removed_teams, why_of

    wanted = [_status(each) for each in status or []]
    of = client(deployment)
    settings, document = of.settings.deployment.teams, of.capacity()
    teams = (
        [one_team(team, of)]
        if not all_teams
        else sorted({*settings, *removed_teams(document, settings)})
    )
    found, left_out = readable(of, teams, wanted)
    found.sort(key=lambda entry: entry.accepted_at, reverse=True)
    entries = [of.live(entry) for entry in found[:limit]]
    warn_of_unread_targets(of, entries)
    if all_teams:
        warn_of_left_messages(of)
    say_state(of, document, [each for each in teams if each not in left_out])
    forecast, now = Forecast(document, settings), datetime.now(UTC)
    outlooks = {
        entry.key: forecast.of(entry, now) for entry in entries if entry.status is Status.QUEUED
    }
    if left_out:
        say(f"left out, because you may not read their requests: {', '.join(left_out)}")
    if as_json:
        print_json(
            [_fields(entry, document, outlooks.get(entry.key), settings) for entry in entries]
        )
        return
    from hpoq.cli.tables import requests_table

    if entries:
        whys = {entry.key: why_of(entry, document, settings) for entry in entries}
        show(requests_table(entries, whys, outlooks, teams=len(teams) > 1))
    if not found:
        which = "no request with this status" if wanted else "no requests yet"
        say(f"{_teams(teams)}: {which}. Send one with `hpoq submit FILE`")
    else:
        say(f"{len(entries)} of {counted(len(found), 'request')}")


def readable(
    of: Client, teams: Sequence[str], wanted: Sequence[Status]
) -> tuple[list[Entry], list[str]]:
    """Return the requests of these teams, and the teams whose requests the user may not read.

    Raises:
        NotPermitted: the user may read the requests of none of the teams.
    """
    from hpoq.errors import NotPermitted

    found: list[Entry] = []
    left_out: list[str] = []
    for each in teams:
        try:
            found += of.entries(each, wanted)
        except NotPermitted:
            left_out.append(each)
            if len(left_out) == len(teams):
                raise
    return found, left_out


def _teams(teams: Sequence[str]) -> str:
    return f"team {teams[0]}" if len(teams) == 1 else "all teams"


def _fields(
    entry: Entry,
    document: CapacityDocument | None,
    outlook: Outlook | None,
    teams: Collection[str],
) -> dict[str, Any]:
    from hpoq.cli.tables import waiting_fields

    waiting = {"waiting": waiting_fields(entry, document, outlook, teams)} if outlook else {}
    return entry_fields(entry) | waiting


def _status(name: str):  # type: ignore[no-untyped-def]  # Status; its import costs time
    from hpo_dispatcher.contract.entry import Status

    by_name = {str(status).lower(): status for status in Status}
    if name.lower() not in by_name:
        raise typer.BadParameter(
            f"unknown status {name!r}; use one of {', '.join(Status)}", param_hint="--status"
        )
    return by_name[name.lower()]
