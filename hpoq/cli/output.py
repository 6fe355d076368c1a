"""Output: results go to stdout, messages to stderr."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hpoq.presentation import on_stdout, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def say(text: str) -> None:
    """Print a one-line message."""
    sys.stderr.write(f"{printable(text)}\n")


def warn(text: str) -> None:
    """Print a one-line message in the color of faults, where the terminal has colors."""
    import typer

    typer.secho(printable(text), fg="red", err=True)


def line(text: str) -> None:
    """Print a line of the result; a pipe gets it unchanged."""
    sys.stdout.write(f"{on_stdout(text)}\n")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 request, 2 requests."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def console() -> Console:
    """Return the console for tables and progress; a pipe gets wide plain text.

    Markup is off: ids, reasons and hyperparameters are users' text and may contain brackets.
    """
    from hpoq.cli.printable_console import PrintableConsole

    piped = not sys.stdout.isatty()
    width = 160 if piped and not _columns() else None
    return PrintableConsole(width=width, soft_wrap=False, markup=False, emoji=False)


def _columns() -> int:
    import os

    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdigit() else 0


def show(renderable: RenderableType) -> None:
    """Print a table or text."""
    console().print(renderable)


def print_json(value: object) -> None:
    """Print a value as JSON, indented by two spaces."""
    sys.stdout.write(json.dumps(value, indent=2, default=plain) + "\n")


def plain(value: object) -> object:
    """Return a value that JSON has no type for as one that it has."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    model_dump = getattr(value, "model_dump", None)
    return model_dump(mode="json", exclude_defaults=True) if model_dump else str(value)
