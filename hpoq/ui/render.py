"""Rendering of the templates and the formats of values."""

from __future__ import annotations

import functools
import hashlib
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hpoq.presentation import duration, printable
from hpoq.ui.descriptions import bare

STATIC = ("style.css", "live.js")
PLOTLY = f"plotly-{version('plotly')}.js"


def page(template: str, **values: Any) -> str:
    """Render a page; all values are escaped."""
    return _environment().get_template(template).render(**values)


def static(name: str) -> bytes | None:
    """Return a static file of the pages; None for other names."""
    return (files("hpoq.ui") / "static" / name).read_bytes() if name in STATIC else None


def plotly() -> bytes:
    """Return the script of plotly, without importing the package, which takes a second."""
    found = find_spec("plotly")
    assert found is not None  # noqa: S101  its version is known
    (folder,) = found.submodule_search_locations or [""]
    return (Path(folder) / "package_data" / "plotly.min.js").read_bytes()


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("hpoq.ui"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_printable,
    )  # fmt: skip
    made.globals |= {"plotly": PLOTLY, "stamp": _stamp()}
    made.filters |= {
        "when": when, "ago": ago, "span": span, "shown": shown, "bare": bare,
        "number": lambda value: f"{value:.6g}", "words": words,
    }  # fmt: skip
    return made


def _printable(value: Any) -> Any:
    """Return a value of a page with control characters shown; markup of ours has none."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


def _stamp() -> str:
    """Return a digest of the static files, so that browsers do not use cached old ones."""
    return hashlib.sha256(b"".join(static(name) or b"" for name in STATIC)).hexdigest()[:12]


def when(at: datetime | None) -> str:
    """Format a time in this machine's time zone, which it names."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if at else ""


def span(seconds: float) -> str:
    """Format a duration."""
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def ago(at: datetime | None) -> str:
    """Format the time since a moment."""
    return f"{duration((datetime.now(UTC) - at).total_seconds())} ago" if at else ""


def shown(value: str) -> str:
    """Format a hyperparameter for a table; numbers are rounded to six digits."""
    text = bare(value)
    try:
        return f"{float(text):.6g}"
    except ValueError:
        return text


def words(status: str) -> str:
    """Format a status as words: ``InProgress`` becomes ``In progress``."""
    return "".join(f" {c.lower()}" if c.isupper() and i else c for i, c in enumerate(status))
