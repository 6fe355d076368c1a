"""The commands ``cancel``, ``priority``, ``hold`` and ``release``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import DeploymentName, RequestId, Team, Yes, client, confirm, one_team
from hpoq.cli.output import counted, say

if TYPE_CHECKING:
    from hpoq.client import Client

Ids = Annotated[
    list[str] | None,
    typer.Argument(help="Ids of the requests; - reads them from stdin.", show_default=False),
]
AllOfTeam = Annotated[
    bool, typer.Option("--all", help="Cancel all requests of the team that have not ended.")
]
MaybeId = Annotated[str | None, typer.Argument(help="Id of the request. Default: the whole team.")]
Number = Annotated[
    int, typer.Argument(help="New priority; higher starts first.", show_default=False)
]


def cancel(
    request_ids: Ids = None,
    all_of_team: AllOfTeam = False,
    team: Team = None,
    yes: Yes = False,
    deployment: DeploymentName = "hpoq",
) -> None:
    """Cancel queued requests and stop running ones."""
    if bool(request_ids) == all_of_team:
        raise typer.BadParameter("name request ids, - for stdin, or --all", param_hint="IDS")
    deployed = client(deployment)
    named = one_team(team, deployed)
    if all_of_team:
        ids = [each.request_id for each in deployed.entries(named) if not each.status.ended]
        if not ids:
            say(f"team {named} has no request that is queued or running; nothing was sent")
            return
        confirm(f"Cancel {counted(len(ids), 'request')} of team {named}?", yes=yes)
    else:
        ids = sys.stdin.read().split() if request_ids == ["-"] else list(request_ids or ())
        if not ids:
            say("stdin names no request; nothing was sent")
            return
        _say_unknown(deployed, named, ids)
    deployed.cancel_all(named, ids)
    listed = f": {', '.join(ids)}" if len(ids) <= 10 else ""
    say(f"sent: cancel {counted(len(ids), 'request')}{listed}")


def priority(
    request_id: RequestId,
    value: Number,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
) -> None:
    """Change the priority of a queued request within its team."""
    deployed = client(deployment)
    named = one_team(team, deployed)
    _say_unknown(deployed, named, [request_id])
    deployed.act(named, "priority", request_id=request_id, priority=value)
    say(f"sent: set priority of {request_id} to {value}")


def hold(
    request_id: MaybeId = None, team: Team = None, deployment: DeploymentName = "hpoq"
) -> None:
    """Put a queued request, or all requests of the team, on hold."""
    _hold_or_release("hold", request_id, team, deployment)


def release(
    request_id: MaybeId = None, team: Team = None, deployment: DeploymentName = "hpoq"
) -> None:
    """Release a request, or the team, from hold."""
    _hold_or_release("release", request_id, team, deployment)


def _hold_or_release(
    action: str, request_id: str | None, team: str | None, deployment: str
) -> None:
    deployed = client(deployment)
    named = one_team(team, deployed)
    if request_id:
        _say_unknown(deployed, named, [request_id])
    deployed.act(named, action, **({"request_id": request_id} if request_id else {}))
    say(f"sent: {action} {request_id or f'team {named}'}")


def _say_unknown(deployed: Client, team: str, ids: Sequence[str]) -> None:
    """Say which requests an action will not change, because they are unknown or have ended."""
    from hpoq.errors import NotReachable

    try:
        known = deployed.get_all(team, ids)
    except NotReachable as error:
        say(f"ids not checked: {error}")
        return
    for request_id in ids:
        entry = known.get(request_id)
        if entry is None:
            say(
                f"{request_id} is not in the ledger of team {team}. "
                "Check the id, unless the request is still on its way"
            )
        elif entry.status.ended:
            say(f"{request_id} is {entry.status} already; nothing changes")
