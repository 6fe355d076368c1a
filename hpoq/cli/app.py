"""The application with all commands."""

from __future__ import annotations

from typing import Annotated

import typer

from hpoq.cli.actions import cancel, hold, priority, release
from hpoq.cli.best import best
from hpoq.cli.campaign import app as campaign
from hpoq.cli.capacity import capacity
from hpoq.cli.data import app as data
from hpoq.cli.doctor import doctor
from hpoq.cli.list import list_requests
from hpoq.cli.local import app as local
from hpoq.cli.logs import logs
from hpoq.cli.redrive import redrive
from hpoq.cli.repair import repair
from hpoq.cli.results import results
from hpoq.cli.schema import schema
from hpoq.cli.simulate import simulate
from hpoq.cli.status import status
from hpoq.cli.submit import submit
from hpoq.cli.template import app as template
from hpoq.cli.ui import ui
from hpoq.cli.watch import watch
from hpoq.cli.why import why

app = typer.Typer(
    help="A queue for SageMaker tuning jobs: send requests, follow them, get the best model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hpoq {version('hpoq')}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
]


@app.callback()
def hpoq(version: Version = False) -> None:
    """Send requests for SageMaker tuning jobs, follow them, and get the best model."""


app.command()(submit)
app.command("list")(list_requests)
app.command()(status)
app.command()(why)
app.command()(watch)
app.command()(ui)
app.command()(best)
app.command()(results)
app.command()(logs)
app.command()(cancel)
app.command()(priority)
app.command()(hold)
app.command()(release)
app.command()(capacity)
app.command()(doctor)
app.command()(redrive)
app.command()(repair)
app.add_typer(template, name="template")
app.add_typer(data, name="data")
app.add_typer(campaign, name="campaign")
app.command()(simulate)
app.command()(schema)
app.add_typer(local, name="local")
