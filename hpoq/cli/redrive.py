"""``hpoq redrive``."""

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

Send = Annotated[bool, typer.Option("--send", help="Send them back as they are.")]
Edit = Annotated[bool, typer.Option("--edit", help="Mend each in $EDITOR, then send it back.")]
Delete = Annotated[bool, typer.Option("--delete", help="Forget them.")]
Filter = Annotated[
    str, typer.Option("--filter", help="Only those whose field, problem or body holds this.")
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
    """Refused messages: show why, and send them back to the team's own queue."""
    if send + edit + delete > 1:
        raise typer.BadParameter("choose one of --send, --edit and --delete")
    of = client(deployment)
    changing = send or edit or delete
    found = of.dead_letters(one_team(team, of), hold_seconds=900 if edit else 30)
    letters = [letter for letter in found if _matches(letter, filter_)]
    if as_json:
        print_json(letters)
    elif letters and not changing:
        _show(letters)
    for letter in letters if changing else ():
        _handle(of, letter, edit=edit, delete=delete)
    done = "deleted" if delete else "sent back" if changing else "in the dead-letter queue"
    say(f"{len(letters)} messages {done}")


def _matches(letter: DeadLetter, text: str) -> bool:
    return any(text in part for part in (letter.field, letter.problem, letter.body, letter.error))


def _show(letters: Sequence[DeadLetter]) -> None:
    from hpoq.cli.tables import table

    made = table("message", "field", "problem", "fix")
    for letter in letters:
        made.add_row(letter.message_id[:8], letter.field, letter.problem, letter.fix)
    show(made)


def _handle(of: Client, letter: DeadLetter, *, edit: bool, delete: bool) -> None:
    if delete:
        of.forget(letter)
    elif edit:
        mended = _edited(letter)
        if mended.strip():
            of.redrive(letter, mended)
    else:
        of.redrive(letter)


class EditorFailed(HpoqError):
    """The user's editor could not be used."""


def _edited(letter: DeadLetter) -> str:
    """What the user's editor leaves; an emptied file leaves the letter where it is."""
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
            raise EditorFailed(f"{editor}: {error}. Nothing was sent; set EDITOR") from None
        return file.read_text()
