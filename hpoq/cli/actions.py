"""``hpoq cancel``, ``priority``, ``hold`` and ``release``: messages to the team's own queue."""

from __future__ import annotations

from typing import Annotated

import typer

from hpoq.cli.options import DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import say

Ids = Annotated[list[str], typer.Argument(help="Request ids.", show_default=False)]
MaybeId = Annotated[str | None, typer.Argument(help="The request's id; none: the whole team.")]
Number = Annotated[int, typer.Argument(help="Higher goes first.", show_default=False)]


def cancel(request_ids: Ids, team: Team = None, deployment: DeploymentName = "hpoq") -> None:
    """Cancel queued requests, stop running ones."""
    to = client(deployment)
    for request_id in request_ids:
        to.act(one_team(team, to), "cancel", request_id=request_id)
    say(f"asked to cancel {', '.join(request_ids)}")


def priority(
    request_id: RequestId,
    value: Number,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
) -> None:
    """Move a queued request within its team's line."""
    to = client(deployment)
    to.act(one_team(team, to), "priority", request_id=request_id, priority=value)
    say(f"asked for priority {value} of {request_id}")


def hold(
    request_id: MaybeId = None, team: Team = None, deployment: DeploymentName = "hpoq"
) -> None:
    """Keep a request, or the whole team, from starting."""
    _hold_or_release("hold", request_id, team, deployment)


def release(
    request_id: MaybeId = None, team: Team = None, deployment: DeploymentName = "hpoq"
) -> None:
    """Undo a hold."""
    _hold_or_release("release", request_id, team, deployment)


def _hold_or_release(
    action: str, request_id: str | None, team: str | None, deployment: str
) -> None:
    to = client(deployment)
    named = one_team(team, to)
    to.act(named, action, **({"request_id": request_id} if request_id else {}))
    say(f"asked to {action} {request_id or f'team {named}'}")
