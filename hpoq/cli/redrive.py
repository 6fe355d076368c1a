"""The command ``redrive``."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo_dispatcher.contract.errors import HpoqError
from hpoq.cli.options import AsJson, DeploymentName, Team, client, one_team
from hpoq.cli.output import print_json, say, show

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


def redrive(
    team: Team = None,
    send: Send = False,
    edit: Edit = False,
    delete: Delete = False,
    filter_: Filter = "",
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """Show rejected messages and the reasons; resubmit or delete them."""
    if send + edit + delete > 1:
        raise typer.BadParameter("use only one of --send, --edit and --delete")
    deployed = client(deployment)
    changing = send or edit or delete
    found = deployed.dead_letters(one_team(team, deployed), hold_seconds=900 if edit else 30)
    letters = [letter for letter in found if _matches(letter, filter_)]
    if as_json:
        print_json(letters)
    elif letters and not changing:
        _show(letters)
    for letter in letters if changing else ():
        _handle(deployed, letter, edit=edit, delete=delete)
    done = "deleted" if delete else "resubmitted" if changing else "in the dead-letter queue"
    say(f"{len(letters)} messages {done}")


def _matches(letter: DeadLetter, text: str) -> bool:
    return any(text in part for part in (letter.field, letter.problem, letter.body, letter.error))


def _show(letters: Sequence[DeadLetter]) -> None:
    from hpoq.cli.tables import table

    rows = table("message", "field", "problem", "fix")
    for letter in letters:
        rows.add_row(letter.message_id[:8], letter.field, letter.problem, letter.fix)
    show(rows)


def _handle(deployed: Client, letter: DeadLetter, *, edit: bool, delete: bool) -> None:
    if delete:
        deployed.forget(letter)
    elif edit:
        fixed = _edited(letter)
        if fixed.strip():
            deployed.redrive(letter, fixed)
    else:
        deployed.redrive(letter)


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
