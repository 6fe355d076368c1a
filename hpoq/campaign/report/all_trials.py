"""The table of all trials in the report, which a reader can search, sort and page through."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.campaign.results.table import METRIC, SEARCHED, TARGET

if TYPE_CHECKING:
    import pandas as pd

SCRIPT = Path(__file__).with_name("all_trials.js")
_FACTS = ("trial", "wave", "status", "objective", "minutes", "cost", "reason")


def section(
    table: pd.DataFrame, *, maximize: bool, consoles: Mapping[str, str] | None = None
) -> str:
    """Return the section of the page.

    Args:
        table: of the trials.
        maximize: whether greater objectives come first.
        consoles: by target, the address to which the name of a training job is appended; empty for
            no links.
    """
    prefixes = (METRIC, SEARCHED)
    names = [str(name) for name in table.columns if str(name).startswith(prefixes)]
    facts = (*_FACTS, TARGET) if TARGET in table else _FACTS
    columns = [table[name].tolist() for name in (*facts, *names)]
    data = {
        "titles": [*facts, *(_title(name) for name in names)],
        "consoles": dict(consoles or {}),
        "home": HOME,
        "where": facts.index(TARGET) if TARGET in facts else -1,
        "maximize": maximize,
        "rows": [list(map(_value, row)) for row in zip(*columns, strict=True)],
    }
    written = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        "<section id=all-trials><h2>All trials</h2><label>Search <input id=find-trial type=search>"
        "</label> <button name=before>previous</button> <button name=after>next</button>"
        "<p role=status></p><div class=scroll tabindex=0>"
        "<table><thead></thead><tbody></tbody></table></div>"
        f'<script type="application/json" id="all-trials-data">{written}</script>'
        f"<script>{SCRIPT.read_text()}</script></section>"
    )


def _title(column: str) -> str:
    return column.removeprefix(METRIC).removeprefix(SEARCHED)


def _value(value: Any) -> Any:
    """Return a value for JSON, with the digits that the report shows; None for a missing one."""
    if isinstance(value, bool | str) or value is None:
        return str(value) if isinstance(value, bool) else value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else float(f"{number:.6g}")
