"""The command ``ui``."""

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
    typer.Option(
        min=0, max=65_535, help="Port on 127.0.0.1. Default: 8732, or a free port if it is in use."
    ),
]
Browser = Annotated[
    bool, typer.Option("--browser/--no-browser", help="Open the pages in a browser.")
]
ReadOnly = Annotated[
    bool,
    typer.Option("--read-only", help="Offer no actions: no cancel, hold, release or priority."),
]


def ui(
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    port: Port = None,
    browser: Browser = True,
    read_only: ReadOnly = False,
) -> None:
    """Serve web pages with requests, tuning jobs, training jobs and logs until Ctrl-C."""
    import boto3

    serve(boto3.Session(), deployment, team, port, browser=browser, read_only=read_only)


def serve(
    session: boto3.Session,
    deployment: str,
    team: str | None,
    port: int | None,
    *,
    browser: bool,
    read_only: bool,
) -> None:
    """Serve the pages of an account until interrupted."""
    try:
        from hpoq.ui import server
        from hpoq.ui.account import Account
        from hpoq.ui.figures import loading
    except ModuleNotFoundError as missing:
        raise NotInstalled(
            f"the pages need the package {missing.name}. Run: pip install 'hpoq[ui]'"
        ) from None
    account = Account(session, deployment, team)
    listening = server.listen(account, port, read_only=read_only)
    with server.opening_page(listening.address) as page:
        try:
            say(f"{account.name}: {listening.address} (press Ctrl-C to stop)")
            if browser:
                import webbrowser

                webbrowser.open(page)
            loading.begin()
            listening.serve_forever()
        except KeyboardInterrupt:
            say("Stopped serving the pages")
        finally:
            listening.server_close()
