"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpoq.client import Client

Team = Annotated[
    str | None,
    typer.Option("--team", "-t", envvar="HPOQ_TEAM", help="Whose requests.", show_default=False),
]
AllTeams = Annotated[bool, typer.Option("--all-teams", "-A", help="Of every team you may read.")]
DeploymentName = Annotated[
    str, typer.Option("--deployment", envvar="HPOQ_DEPLOYMENT", help="Name of the deployment.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for other programs.")]
RequestId = Annotated[str, typer.Argument(help="The request's id.", show_default=False)]


def client(deployment: str) -> Client:
    """The deployment as its users see it."""
    from hpoq.client import Client

    return Client(deployment)


def one_team(named: str | None, of: Client) -> str:
    """The team to act for: named, or the only one there is.

    Raises:
        NotDeployed: there are several, and none was named.
    """
    if named:
        return named
    teams = of.teams()
    if len(teams) == 1:
        return teams[0]
    from hpoq.errors import NotDeployed

    raise NotDeployed(f"which team? Say --team or set HPOQ_TEAM; there are {', '.join(teams)}")
