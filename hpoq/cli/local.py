"""`hpoq local`: an AWS account on this machine, for trying out and testing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from hpoq.cli.options import AsJson
from hpoq.cli.output import line, print_json, say, show
from hpoq.cli.ui import Browser, Port, ReadOnly
from hpoq.local.accounts import is_account, is_region
from hpoq.local.limits import Limit, Profile, is_known

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
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of 127.0.0.1. Default: the last one, else a free one."
        ),
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="12 digits, set by the first `up`. Default: random ones.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Set by the first `up`. Default: us-east-1.")
    ] = None,
    quota: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=COUNT, where NAME is an instance type such as ml.m5.xlarge, or one of the "
            "limits in docs/local.md, such as tuning_jobs. Stored for the next `up`. May be "
            "repeated."
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Limits of the account: standard, or new-account for those of a new AWS account. "
            "Stored for the next `up`. Default: the last one, else standard."
        ),
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Run until Ctrl-C, which stops the cloud.")
    ] = False,
    ui: Annotated[
        bool, typer.Option("--ui", help="Serve its pages, as `hpoq ui` does, until Ctrl-C.")
    ] = False,
    ui_port: Port = None,
    browser: Browser = True,
    read_only: ReadOnly = False,
) -> None:
    """Start the cloud, or report that it is running."""
    from hpoq.local import cloud as clouds
    from hpoq.local.lifecycle import installation

    quotas = dict(_quota(each) for each in quota or ())
    profiles = [str(each) for each in Profile]
    if profile is not None and profile not in profiles:
        what = f"unknown profile {profile!r}; use one of {', '.join(profiles)}"
        raise typer.BadParameter(what, param_hint="--profile")
    _check_place(account, region)
    what = "Starting" if installation.is_installed() else "Installing (once) and starting"
    with _busy(f"{what} the embedded cloud"):
        cloud = clouds.start(
            home,
            port=port,
            account=account,
            region=region,
            quotas=quotas or None,
            profile=profile,
        )
    where = f"{cloud.running.endpoint} (account {cloud.running.account}, {cloud.home.path})"
    say(f"The embedded cloud {'is up' if cloud.started_here else 'is already up'}: {where}")
    for damaged in cloud.recovered:
        if damaged.is_relative_to(cloud.home.damaged_objects):
            say(f"An object of S3 was damaged, and is no longer in its bucket: {damaged}")
        else:
            say(f"A stored file was damaged; the one before it is in use. It is kept as {damaged}")
    if cloud.not_applied:
        say(
            f"Not applied, because it is running: {', '.join(cloud.not_applied)}. "
            "Stored for the next start: hpoq local down && hpoq local up"
        )
    if ui:
        _serve_pages(cloud, ui_port, browser=browser, read_only=read_only, stop=foreground)
        return
    if foreground:
        _wait_for_stop(cloud)
    say('Use it in this shell:  eval "$(hpoq local env)"')


@app.command()
def down(home: HomeOption = None) -> None:
    """Stop the cloud and every process it started. Keep its state for the next `up`."""
    from hpoq.local.cloud import Cloud
    from hpoq.local.lifecycle import launch
    from hpoq.local.lifecycle.home import Home

    where = Home.find(home)
    last = where.last_run()
    if last is None:
        say(f"No embedded cloud is running in {where.path}")
        return
    if where.is_alive():
        with _busy("Stopping the embedded cloud"):
            Cloud(where, last).stop()
        say("The embedded cloud is down")
        return
    with where.changing():
        killed = launch.clear_remains(where)
    say(f"The embedded cloud had been killed; stopped {killed} of its processes")


@app.command()
def status(home: HomeOption = None, as_json: AsJson = False) -> None:
    """Show whether the cloud is running, and its contents. Exit status 1 if it is not running."""
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
def env(
    home: HomeOption = None,
    account: Annotated[
        str | None, typer.Option(help="Another account, 12 digits, as its root user.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Another Region.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the variables that make AWS clients use the cloud, for `eval` in a shell."""
    from hpoq.local import cloud as clouds
    from hpoq.local.cloud import exports

    _check_place(account, region)
    cloud = clouds.find(home).within(account, region)
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
        Path | None,
        typer.Option("--app", help="Folder of cdk.json. Default: the nearest parent folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Deploy the CDK app into the cloud with the real `cdk`, and print the stack's outputs."""
    from hpoq.local import cloud as clouds

    settings = dict(_pair(each) for each in context or ())
    cloud = clouds.find(home)
    with _busy("Deploying") as progress:
        outputs = cloud.deploy(settings, app=app_folder, say=progress)
        progress("dispatch cycle")
        cloud.run_dispatcher(outputs)
    if as_json:
        print_json(outputs)
        return
    for name, value in outputs.items():
        line(f"{name} = {value}")


def _wait_for_stop(cloud: Cloud) -> NoReturn:
    """Wait for Ctrl-C or SIGTERM, which stop the cloud, or until another process stops it."""
    from hpoq.local.lifecycle import processes

    stopping = [signal.SIGINT, signal.SIGTERM]
    for number in stopping:
        signal.signal(number, _interrupted)
    try:
        say("Ctrl-C stops it")
        while cloud.home.is_alive():
            processes.wait_until(lambda: not cloud.home.is_alive(), 1.0)
    except KeyboardInterrupt:
        for number in stopping:
            signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the stop
        cloud.stop()
    say("The embedded cloud is down")
    raise typer.Exit(0)


def _serve_pages(
    cloud: Cloud, port: int | None, *, browser: bool, read_only: bool, stop: bool
) -> None:
    """Serve the cloud's pages until Ctrl-C or SIGTERM."""
    from hpoq.cli.ui import serve

    for number in (signal.SIGINT, signal.SIGTERM):  # a script's background process ignores SIGINT
        signal.signal(number, _interrupted)
    serve(cloud.session(), "hpoq", None, port, browser=browser, read_only=read_only)
    if not stop:
        say("The embedded cloud is still up; `hpoq local down` stops it")
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the stop
    cloud.stop()
    say("The embedded cloud is down")


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _check_place(account: str | None, region: str | None) -> None:
    if account is not None and not is_account(account):
        raise typer.BadParameter(f"{account}: write 12 digits", param_hint="--account")
    if region is not None and not is_region(region):
        what = f"{region}: write a Region such as eu-central-1"
        raise typer.BadParameter(what, param_hint="--region")


def _quota(text: str) -> tuple[str, int]:
    name, value = _pair(text)
    if not is_known(name):
        known = ", ".join(Limit)
        raise typer.BadParameter(f"{text}: unknown quota; use {known}, or an instance type")
    if not value.isdigit():
        raise typer.BadParameter(f"{text}: the value must be a count, as in tuning_jobs=10")
    return name, int(value)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"{text}: write NAME=VALUE")
    return name, value


@contextmanager
def _busy(text: str) -> Iterator[Any]:
    """Show a spinner on stderr; yield a function that names the current step."""
    from hpoq.cli.printable_console import PrintableConsole

    console = PrintableConsole(stderr=True)
    with console.status(text) as shown:

        def show_step(step: str) -> None:
            shown.update(f"{text}: {step}")
            if not console.is_terminal:
                say(f"{text}: {step}")

        yield show_step


def _table(found: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, value in found.items():
        shown = (
            ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        table.add_row(name.replace("_", " "), str(shown))
    show(table)
