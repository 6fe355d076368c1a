"""The command group ``data``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.options import DeploymentName, Team, client, current_team
from hpoq.cli.output import counted, say

if TYPE_CHECKING:
    from hpoq.client import Client
    from hpoq.data.channels import S3Channel
    from hpoq.data.local_files import ChannelFiles
    from hpoq.data.upload import Uploaded

app = typer.Typer(help="Data: the inputs of training jobs.", no_args_is_help=True)

MEGABYTE = 1e6

Source = Annotated[
    Path,
    typer.Argument(
        help="A folder with a subfolder for each channel, or the credit-default data as CSV.",
        show_default=False,
    ),
]
TemplateName = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="Upload to where this template reads; else the default one.",
        show_default=False,
    ),
]
ChannelName = Annotated[
    str | None,
    typer.Option(
        "--channel", help="Upload the file or folder to this channel only.", show_default=False
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        help="Upload the file or folder as it is to this S3 URI, or to this folder of the team's "
        "workspace with --team, else of the artifact bucket.",
        show_default=False,
    ),
]


@app.callback()
def data() -> None:
    """Upload the inputs of training jobs."""


@app.command("push")
def push(
    source: Source,
    team: Team = None,
    template: TemplateName = None,
    channel: ChannelName = None,
    prefix: Prefix = None,
    deployment: DeploymentName = "hpoq",
) -> None:
    """Upload data to where training jobs read it, and print the S3 URIs.

    Without options, to the channels of the default template. Files whose objects are the same
    already are not sent again.
    """
    import boto3

    from hpoq.botocore_config import INTERACTIVE
    from hpoq.data.channels import check_allowed, given_prefix
    from hpoq.data.upload import upload
    from hpoq.errors import UnusableData

    if prefix and (template or channel):
        raise UnusableData("--prefix excludes --template and --channel. Leave one of them out")
    if not source.exists():
        raise UnusableData(f"{source}: no such file or folder. Name one that exists")
    deployed = client(deployment)
    if team:
        current_team(team, deployed)
    if prefix:
        destinations = [given_prefix(deployed.settings, team, prefix)]
    else:
        destinations = _channels(deployed, team, template, channel)
    for each in destinations:
        check_allowed(deployed.settings, team, each)
    s3 = boto3.Session().client("s3", config=INTERACTIVE)
    with (
        _found(source, destinations, whole=bool(prefix), channel=channel) as parts,
        _progress(parts) as advance,
    ):
        done = [upload(s3, each, advance) for each in parts]
    for uploaded in done:
        _report(uploaded)


@contextmanager
def _found(
    source: Path, destinations: Sequence[S3Channel], *, whole: bool, channel: str | None
) -> Iterator[list[ChannelFiles]]:
    """Yield the files for each destination; the credit-default data is prepared first."""
    from hpoq.data.local_files import by_channel, of_one, prepared

    if channel and (source / channel).is_dir():
        source = source / channel
    if whole or channel:
        yield [of_one(source, destinations[0])]
    elif source.is_file():
        with prepared(source, destinations) as folder:
            yield by_channel(folder, destinations)
    else:
        yield by_channel(source, destinations)


@contextmanager
def _progress(parts: Sequence[ChannelFiles]) -> Iterator[Callable[[int], None]]:
    """Show a line with the progress while a person waits at a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from hpoq.cli.printable_console import PrintableConsole

    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = PrintableConsole(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=sum(f.stat().st_size for p in parts for f in p.files))
        yield lambda count: bar.advance(task, count)


def _report(uploaded: Uploaded) -> None:
    channel = uploaded.channel
    megabytes = f"{uploaded.sent_bytes / MEGABYTE:.1f} MB"
    sent = counted(uploaded.sent, "file")
    say(f"{channel.name}: {sent} sent ({megabytes}), {uploaded.unchanged} unchanged")
    if uploaded.others:
        others = counted(len(uploaded.others), "other object")
        say(
            f"{channel.name}: training jobs also read {others} there, "
            f"such as s3://{channel.bucket}/{uploaded.others[0]}"
        )
    sys.stdout.write(f"{channel.uri}\n")


def _channels(
    deployed: Client, team: str | None, template: str | None, only: str | None
) -> list[S3Channel]:
    """Return the channels to fill; the team matters if the template's locations depend on it."""
    from hpoq.data.channels import template_channels
    from hpoq.errors import UnusableData

    settings = deployed.settings
    teams = [team] if team else deployed.teams()
    found = [template_channels(settings, each, template) for each in teams]
    channels = found[0]
    if any(each != channels for each in found):
        channels = template_channels(settings, current_team(team, deployed), template)
    named = template or settings.deployment.default_template
    if not channels:
        raise UnusableData(f"the template {named} reads no data from S3. Use --prefix")
    chosen = [each for each in channels if only in (None, each.name)]
    if not chosen:
        names = ", ".join(each.name for each in channels)
        raise UnusableData(f"the template {named} has no channel {only!r}. Channels: {names}")
    return chosen
