"""``hpoq watch``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.dispatcher_state import warn_of_unread_targets
from hpoq.cli.exit_status import ExitStatus
from hpoq.cli.list import readable
from hpoq.cli.options import AllTeams, DeploymentName, Team, client, one_team
from hpoq.cli.output import say
from hpoq.presentation import failed_training_jobs

if TYPE_CHECKING:
    from hpo_dispatcher.contract.entry import Entry
    from hpoq.client import Client

Ids = Annotated[
    list[str] | None,
    typer.Argument(help="Request ids; - reads them from stdin. Default: all that have not ended."),
]
Seconds = Annotated[float, typer.Option("--every", min=0.5, help="Seconds between updates.")]


def watch(
    request_ids: Ids = None,
    team: Team = None,
    all_teams: AllTeams = False,
    every: Seconds = 3.0,
    deployment: DeploymentName = "hpoq",
) -> None:
    """Follow requests until all have ended. Exit status 3 if one is not Completed."""
    from hpo_dispatcher.contract.entry import Status

    of = client(deployment)
    teams = of.teams() if all_teams else [one_team(team, of)]
    ids = sys.stdin.read().split() if request_ids == ["-"] else request_ids or []
    keys = [(teams[0], each) for each in ids]
    if not keys:
        found, left_out = readable(of, teams, ())
        keys = [entry.key for entry in found if not entry.status.ended]
        if left_out:
            say(f"left out, because you may not read their requests: {', '.join(left_out)}")
    if not keys:
        say("nothing is queued or running. Send a request with `hpoq submit FILE`")
        return
    if ids:
        _say_unknown(of, keys)
    if len(of.settings.deployment.targets) > 1:
        for each in sorted({team for team, _ in keys}):
            named = [request_id for team, request_id in keys if team == each]
            warn_of_unread_targets(of, of.get_all(each, named).values())
    entries = follow(of, keys, every)
    for entry in entries:
        if failed_training_jobs(entry):
            command = f"hpoq logs --team {entry.team} --failed {entry.request_id}"
            say(f"See why training jobs failed: {command}")
    if any(entry.status is not Status.COMPLETED for entry in entries):
        raise typer.Exit(ExitStatus.NOT_COMPLETED)


def _say_unknown(of: Client, keys: Sequence[tuple[str, str]]) -> None:
    """Say which requests are not in the ledger yet, or may never be.

    Raises:
        NotDeployed: there are some, and the deployment has no such team that could send them.
    """
    team = keys[0][0]
    known = of.get_all(team, [request_id for _, request_id in keys])
    unknown = [request_id for _, request_id in keys if request_id not in known]
    if not unknown:
        return
    of.require_team(team)
    say(
        f"waiting for {', '.join(unknown)}, not in the ledger of team {team}. A request just sent "
        "appears with the next cycle; Ctrl-C ends the wait"
    )


def follow(of: Client, keys: Sequence[tuple[str, str]], every: float) -> list[Entry]:
    """Show requests until they have ended: live on a terminal, changes only in a pipe."""
    from rich.live import Live

    from hpoq.cli.output import console
    from hpoq.cli.tables import leaderboard, progress

    screen = console()
    entries: list[Entry] = []
    if screen.is_terminal:
        with Live(console=screen, auto_refresh=False) as live:
            for entries in _snapshots(of, keys, every):
                live.update(progress(entries, len(keys)), refresh=True)
    else:
        seen: dict[tuple[str, str], str] = {}
        for entries in _snapshots(of, keys, every):
            for entry in entries:
                if seen.get(entry.key) != entry.status:
                    seen[entry.key] = entry.status
                    reason = " ".join(entry.reason.splitlines())  # one line for each change
                    say(f"{'/'.join(entry.key)} {entry.status} {reason}".rstrip())
    screen.print(leaderboard(entries))
    return entries


def _snapshots(of: Client, keys: Sequence[tuple[str, str]], every: float) -> Iterator[list[Entry]]:
    """Yield the entries again and again; a request not yet in the ledger is left out."""
    from hpoq.errors import NotFound

    ended: dict[tuple[str, str], Entry] = {}
    while True:
        now: list[Entry] = []
        for key in keys:
            try:
                entry = ended.get(key) or of.live(of.get(*key))
            except NotFound:
                continue
            if entry.status.ended:
                ended[key] = entry
            now.append(entry)
        yield now
        if len(ended) == len(keys):
            return
        time.sleep(every)
