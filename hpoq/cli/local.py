"""`hpoq local`: an AWS account on this machine, for trying things out and for tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from hpoq.cli.options import AsJson
from hpoq.cli.output import print_json, say, show
from hpoq.cli.ui import Browser, Port

if TYPE_CHECKING:
    from hpoq.local.cloud import Cloud

app = typer.Typer(
    name="local",
    help="An AWS account on this machine: no Docker, no costs, real training.",
    no_args_is_help=True,
)

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Folder of the cloud. Default: $HPOQ_HOME, else ./.hpoq", show_default=False
    ),
]


@app.command()
def up(
    home: HomeOption = None,
    port: Annotated[
        int | None, typer.Option(help="Port of 127.0.0.1. Default: a free one.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Fixed by the first `up`: us-east-1.")] = None,
    quota: Annotated[
        list[str] | None,
        typer.Option(
            help="tuning_jobs, training_jobs, instances, ml.m5.xlarge, api_calls_per_second or "
            "memory_mib=COUNT; kept. May be repeated."
        ),
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Stay; Ctrl-C ends the cloud.")
    ] = False,
    ui: Annotated[
        bool, typer.Option("--ui", help="Stay and show its pages, as `hpoq ui` does.")
    ] = False,
    ui_port: Port = None,
    browser: Browser = True,
) -> None:
    """Start the cloud, or say that it runs already."""
    from hpoq.local import cloud as clouds
    from hpoq.local.lifecycle import installation

    quotas = dict(_quota(each) for each in quota or ())
    what = "Starting" if installation.is_installed() else "Installing (once) and starting"
    with _busy(f"{what} the embedded cloud"):
        cloud = clouds.start(home, port=port, region=region, quotas=quotas or None)
    where = f"{cloud.running.endpoint} (account {cloud.running.account}, {cloud.home.path})"
    say(f"The embedded cloud {'is up' if cloud.started_here else 'was up already'}: {where}")
    if ui:
        _show(cloud, ui_port, browser=browser, ends_it=foreground)
        return
    if foreground:
        _stay(cloud)
    say('Lead a shell to it:  eval "$(hpoq local env)"')


@app.command()
def down(home: HomeOption = None) -> None:
    """End the cloud and every process it started. Its state stays for the next `up`."""
    from hpoq.local.cloud import Cloud
    from hpoq.local.lifecycle import launch
    from hpoq.local.lifecycle.home import Home

    where = Home.find(home)
    last = where.last_run()
    if last is None:
        say(f"No embedded cloud runs in {where.path}")
        return
    if where.is_alive():
        with _busy("Stopping the embedded cloud"):
            Cloud(where, last).stop()
        say("The embedded cloud is down")
        return
    with where.changing():
        ended = launch.clear_remains(where)
    say(f"The embedded cloud was dead already; {ended} processes it had left are ended")


@app.command()
def status(home: HomeOption = None, as_json: AsJson = False) -> None:
    """Whether it runs, where, and what is deployed in it. Exit status 1 if it does not run."""
    from hpoq.local.lifecycle.home import Home
    from hpoq.local.status import read

    found = read(Home.find(home))
    if as_json:
        print_json(found)
    else:
        _table(found)
    if not found["running"]:
        raise typer.Exit(1)


@app.command()
def env(home: HomeOption = None, as_json: AsJson = False) -> None:
    """Print the variables that lead AWS clients to it, for `eval` in a shell."""
    from hpoq.local import cloud as clouds
    from hpoq.local.cloud import exports

    cloud = clouds.find(home)
    if as_json:
        print_json(cloud.env)
    else:
        typer.echo(exports(cloud))


@app.command(context_settings={"allow_extra_args": False})
def deploy(
    home: HomeOption = None,
    context: Annotated[
        list[str] | None,
        typer.Option("--context", "-c", help="A setting of the CDK app: key=value."),
    ] = None,
    app_folder: Annotated[
        Path | None, typer.Option("--app", help="Folder of cdk.json. Default: the nearest.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Deploy the CDK app into it with the real `cdk`. Prints the stack's outputs."""
    from hpoq.local import cloud as clouds

    settings = dict(_pair(each) for each in context or ())
    cloud = clouds.find(home)
    with _busy("Deploying") as progress:
        outputs = cloud.deploy(settings, app=app_folder, say=progress)
    if as_json:
        print_json(outputs)
        return
    for name, value in outputs.items():
        typer.echo(f"{name} = {value}")


def _stay(cloud: Cloud) -> NoReturn:
    """Until Ctrl-C or SIGTERM, which are a `down`, or until someone else ends the cloud."""
    from hpoq.local.lifecycle import processes

    stopping = [signal.SIGINT, signal.SIGTERM]
    for number in stopping:
        signal.signal(number, _interrupted)
    try:
        say("Ctrl-C ends it")
        while cloud.home.is_alive():
            processes.wait_until(lambda: not cloud.home.is_alive(), 1.0)
    except KeyboardInterrupt:
        for number in stopping:
            signal.signal(number, signal.SIG_IGN)  # a second one must not leave processes
        cloud.stop()
    say("The embedded cloud is down")
    raise typer.Exit(0)


def _show(cloud: Cloud, port: int | None, *, browser: bool, ends_it: bool) -> None:
    """Serve the cloud's pages until Ctrl-C or SIGTERM."""
    from hpoq.cli.ui import serve

    signal.signal(signal.SIGTERM, _interrupted)
    serve(cloud.session(), "hpoq", None, port, browser=browser)
    if not ends_it:
        say("The embedded cloud stays up; `hpoq local down` ends it")
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second one must not leave processes
    cloud.stop()
    say("The embedded cloud is down")


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _quota(text: str) -> tuple[str, int]:
    from hpoq.local.server.service_quotas import SETTINGS

    name, value = _pair(text)
    if name not in SETTINGS and not name.startswith("ml."):
        known = ", ".join(SETTINGS)
        raise typer.BadParameter(f"{text}: there is no such quota; {known}, or an instance type")
    if not value.isdigit():
        raise typer.BadParameter(f"{text}: the value is a count, as in tuning_jobs=10")
    return name, int(value)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"{text}: expected key=value")
    return name, value


@contextmanager
def _busy(text: str) -> Iterator[Any]:
    """A spinner on stderr while something takes a while; yields a function that retitles it."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status(text) as shown:

        def retitle(doing: str) -> None:
            shown.update(f"{text}: {doing}")
            if not console.is_terminal:
                say(f"{text}: {doing}")

        yield retitle


def _table(found: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, value in found.items():
        shown = (
            ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        table.add_row(name.replace("_", " "), str(shown))
    show(table)
