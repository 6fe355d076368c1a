"""Parts of the page that several sections use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any


def cell(value: Any) -> str:
    """Return a value as text with the digits that matter: 1e-07 stays 1e-07."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def table_of(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is the name of a trial and whose others are numbers."""
    head = "".join(
        f"<th{' class=n' if at else ''}>{escape(title)}</th>" for at, title in enumerate(titles)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td class={'n' if at else 'id'}>{escape(value)}</td>" for at, value in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<div class=scroll tabindex=0><table><tr>{head}</tr>{body}</table></div>"
