"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpoq.client import Client

Team = Annotated[
    str | None,
    typer.Option("--team", "-t", envvar="HPOQ_TEAM", help="Name of the team.", show_default=False),
]
AllTeams = Annotated[
    bool, typer.Option("--all-teams", "-A", help="Show all teams that you may read.")
]
DeploymentName = Annotated[
    str, typer.Option("--deployment", envvar="HPOQ_DEPLOYMENT", help="Name of the deployment.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
RequestId = Annotated[str, typer.Argument(help="Id of the request.", show_default=False)]


def client(deployment: str) -> Client:
    """Return a client of the deployment."""
    from hpoq.client import Client

    return Client(deployment)


def one_team(named: str | None, deployed: Client) -> str:
    """Return the named team, or the only team of the deployment.

    Raises:
        NotDeployed: no team was named and the deployment has several.
    """
    if named:
        return named
    teams = deployed.teams()
    if len(teams) == 1:
        return teams[0]
    from hpoq.errors import NotDeployed

    raise NotDeployed(f"no team given. Use --team or set HPOQ_TEAM; teams: {', '.join(teams)}")


def current_team(named: str | None, deployed: Client) -> str:
    """Return the named team, or the only one: a team of which the settings still know.

    A removed team's requests can be read and ended, but nothing new can be sent for it.

    Raises:
        NotDeployed: the deployment has no such team.
    """
    from hpo_dispatcher.contract.errors import HpoqError

    team = one_team(named, deployed)
    try:
        deployed.teams()
    except HpoqError:
        return team  # the queue itself answers
    deployed.require_team(team)
    return team


def confirm(question: str, *, yes: bool) -> None:
    """Ask before a change that cannot be undone; a script confirms with ``--yes``.

    Raises:
        NotConfirmed: the answer was no, or there is no terminal to ask on.
    """
    if yes:
        return
    import sys

    from hpoq.errors import NotConfirmed

    if not sys.stdin.isatty():
        raise NotConfirmed(f"{question} Confirm with --yes; nothing was changed")
    if not typer.confirm(question, err=True):
        raise NotConfirmed("not confirmed; nothing was changed")
