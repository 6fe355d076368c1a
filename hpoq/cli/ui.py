"""``hpoq ui``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import DeploymentName, Team
from hpoq.cli.output import say
from hpoq.errors import NotInstalled

if TYPE_CHECKING:
    import boto3

Port = Annotated[
    int | None,
    typer.Option(min=0, max=65_535, help="Of 127.0.0.1. Default: 8732, else a free one."),
]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")]


def ui(
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    port: Port = None,
    browser: Browser = True,
) -> None:
    """Show requests, tuning jobs, training jobs and their logs as pages, until Ctrl-C."""
    import boto3

    serve(boto3.Session(), deployment, team, port, browser=browser)


def serve(
    session: boto3.Session,
    deployment: str,
    team: str | None,
    port: int | None,
    *,
    browser: bool,
) -> None:
    """Show an account until interrupted."""
    try:
        from hpoq.ui import server
        from hpoq.ui.account import Account
    except ModuleNotFoundError as missing:
        raise NotInstalled(
            f"the pages need {missing.name}. Install them: pip install 'hpoq[ui]'"
        ) from None
    account = Account(session, deployment, team)
    where = account.name
    listening = server.listen(account, port)
    address = server.url(listening)
    try:
        say(f"{address} shows {where}; Ctrl-C ends the pages")
        if browser:
            import webbrowser

            webbrowser.open(address)
        listening.serve_forever()
    except KeyboardInterrupt:
        say("The pages are gone")
    finally:
        listening.server_close()
