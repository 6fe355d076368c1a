"""Output: results go to stdout, messages to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from hpo_dispatcher.contract.entry import Entry


def say(text: str) -> None:
    """Print a one-line message."""
    sys.stderr.write(f"{text}\n")


def console() -> Console:
    """Return the console for tables and progress; a pipe gets wide plain text.

    Markup is off: ids, reasons and hyperparameters are users' text and may contain brackets.
    """
    from rich.console import Console

    piped = not sys.stdout.isatty()
    width = 160 if piped and not _columns() else None
    return Console(width=width, soft_wrap=False, markup=False, emoji=False)


def _columns() -> int:
    import os

    return int(os.environ.get("COLUMNS", "0") or 0)


def show(renderable: RenderableType) -> None:
    """Print a table or text."""
    console().print(renderable)


def print_json(value: object) -> None:
    """Print a value as JSON, indented by two spaces."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    model_dump = getattr(value, "model_dump", None)
    return model_dump(mode="json", exclude_defaults=True) if model_dump else str(value)


def entry_fields(entry: Entry) -> dict[str, Any]:
    """Return a request as ``--json`` shows it; times in ISO 8601, UTC."""
    fields = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
    fields["status"] = str(entry.status)
    fields["request"] = json.loads(entry.request.to_json()) if entry.request else None
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def duration(seconds: float) -> str:
    """Return a time span at the precision that people use."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{timedelta(seconds=whole).days} days"


def short(values: Mapping[str, str], room: int = 60) -> str:
    """Return hyperparameters for one table cell; numbers are rounded to four digits."""
    text = "  ".join(f"{name}={_number(value)}" for name, value in sorted(values.items()))
    return text if len(text) <= room else text[: room - 1] + "…"


def _number(value: str) -> str:
    bare = value.strip('"')
    try:
        return f"{float(bare):.4g}"
    except ValueError:
        return bare
