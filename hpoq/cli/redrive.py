"""The command ``redrive``."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo_dispatcher.contract.errors import HpoqError
from hpoq.cli.options import AsJson, DeploymentName, Team, Yes, client, confirm, one_team
from hpoq.cli.output import counted, print_json, say, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpoq.client import Client, DeadLetter

Send = Annotated[bool, typer.Option("--send", help="Resubmit the messages unchanged.")]
Edit = Annotated[
    bool, typer.Option("--edit", help="Fix each message in $EDITOR, then resubmit it.")
]
Delete = Annotated[bool, typer.Option("--delete", help="Delete the messages.")]
Filter = Annotated[
    str,
    typer.Option(
        "--filter", help="Select messages that contain this text in field, problem, error or body."
    ),
]

EDIT_SECONDS = 900  # that messages are hidden while their user edits them


def redrive(
    team: Team = None,
    send: Send = False,
    edit: Edit = False,
    delete: Delete = False,
    filter_: Filter = "",
    yes: Yes = False,
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """Show rejected messages and the reasons; resubmit or delete them."""
    if send + edit + delete > 1:
        raise typer.BadParameter("use only one of --send, --edit and --delete")
    deployed = client(deployment)
    named, changing = one_team(team, deployed), send or edit or delete
    total = deployed.count_dead_letters(named)
    hidden = {
        letter.message_id: letter
        for letter in deployed.dead_letters(named, hold_seconds=EDIT_SECONDS if edit else 60)
    }
    done = 0
    try:
        letters = [letter for letter in hidden.values() if _matches(letter, filter_)]
        if as_json:
            print_json([_fields(letter) for letter in letters])
        elif letters and not changing:
            _show(letters)
        if changing and letters:
            _release_others(deployed, hidden, letters)
            if not edit:
                verb = "Delete" if delete else "Resubmit, unchanged,"
                of_team = f"{counted(total, 'message')} of team {named}"
                confirm(f"{verb} {len(letters)} of {of_team}?", yes=yes)
        for letter in letters if changing else ():
            if _handle(deployed, letter, edit=edit, delete=delete):
                del hidden[letter.message_id]
                done += 1
    finally:
        deployed.show_again(list(hidden.values()))
    if changing:
        say(f"{counted(done, 'message')} {'deleted' if delete else 'resubmitted'}")
    elif not total and not letters:
        say(f"no message in the dead-letter queue of team {named}")
    else:
        there = counted(max(total, len(letters)), "message")
        say(f"{len(letters)} of {there} in the dead-letter queue")


def _release_others(
    deployed: Client, hidden: dict[str, DeadLetter], letters: Sequence[DeadLetter]
) -> None:
    """Let the messages that are not selected be received again."""
    chosen = {letter.message_id for letter in letters}
    others = [letter for id_, letter in hidden.items() if id_ not in chosen]
    deployed.show_again(others)
    for letter in others:
        del hidden[letter.message_id]


def _matches(letter: DeadLetter, text: str) -> bool:
    return any(text in part for part in (letter.field, letter.problem, letter.body, letter.error))


def _fields(letter: DeadLetter) -> dict[str, str]:
    """Return a message as ``--json`` shows it."""
    fields = asdict(letter)
    del fields["receipt"]  # of this call only
    return fields


def _show(letters: Sequence[DeadLetter]) -> None:
    from hpoq.cli.noted_table import NotedTable

    rows = NotedTable(["request", "field"], ["problem", "fix"])
    for letter in letters:
        rows.add_row([_request(letter), letter.field], [letter.problem, letter.fix])
    show(rows)


def _request(letter: DeadLetter) -> str:
    """Return the id under which `hpoq list` shows the request of a message."""
    try:
        body = json.loads(letter.body)
    except ValueError:
        return letter.message_id
    named = body.get("request_id") if isinstance(body, dict) else None
    return named if isinstance(named, str) and named else letter.message_id


def _handle(deployed: Client, letter: DeadLetter, *, edit: bool, delete: bool) -> bool:
    """Resubmit or delete a message; return whether it has left the dead-letter queue."""
    if delete:
        deployed.forget(letter)
        return True
    if not edit:
        deployed.redrive(letter)
        return True
    fixed = _edited(letter)
    if not fixed.strip():
        return False
    from hpo_dispatcher.contract.message import parse_message

    parse_message(fixed, letter.message_id)
    deployed.redrive(letter, fixed)
    return True


class EditorFailed(HpoqError):
    """A failure of the user's editor."""


def _edited(letter: DeadLetter) -> str:
    """Let the user edit the message and return the text; empty text means: do not resubmit."""
    try:
        text = json.dumps(json.loads(letter.body), indent=2)
    except ValueError:
        text = letter.body
    say(f"{letter.field}: {letter.problem}. {letter.fix}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "request.json"
        file.write_text(text)
        editor = os.environ.get("EDITOR", "vi")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise EditorFailed(
                f"{editor}: {error}. The message was not resubmitted. Set EDITOR to your editor"
            ) from None
        return file.read_text()
