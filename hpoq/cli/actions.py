"""The commands ``cancel``, ``priority``, ``hold`` and ``release``."""

from __future__ import annotations

from typing import Annotated

import typer

from hpoq.cli.options import DeploymentName, RequestId, Team, client, one_team
from hpoq.cli.output import say

Ids = Annotated[list[str], typer.Argument(help="Ids of the requests.", show_default=False)]
MaybeId = Annotated[str | None, typer.Argument(help="Id of the request. Default: the whole team.")]
Number = Annotated[
    int, typer.Argument(help="New priority; higher starts first.", show_default=False)
]


def cancel(request_ids: Ids, team: Team = None, deployment: DeploymentName = "hpoq") -> None:
    """Cancel queued requests and stop running ones."""
    deployed = client(deployment)
    named = one_team(team, deployed)
    for request_id in request_ids:
        deployed.act(named, "cancel", request_id=request_id)
    say(f"sent: cancel {', '.join(request_ids)}")


def priority(
    request_id: RequestId,
    value: Number,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
) -> None:
    """Change the priority of a queued request within its team."""
    deployed = client(deployment)
    deployed.act(one_team(team, deployed), "priority", request_id=request_id, priority=value)
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
    deployed.act(named, action, **({"request_id": request_id} if request_id else {}))
    say(f"sent: {action} {request_id or f'team {named}'}")
