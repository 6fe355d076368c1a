"""A table that stays readable in narrow terminals: long cells move below their row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hpoq.presentation import printable

WIDE = 120  # columns of a terminal in which everything fits beside each other
NOTE = "note"  # the detail that needs no label
_GAP, _INDENT, _LEAST_WIDTH = 2, 2, 8
Cell = str | Text


def table(*columns: str) -> Table:
    """Make a table without borders; a column that starts with ``>`` has right-aligned numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column.startswith(">")
        made.add_column(
            column.lstrip(">"),
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    return made


@dataclass
class NotedTable:
    """A table of short cells with long details.

    Wide terminals show the details as columns, narrow ones below each row.
    """

    columns: Sequence[str]  # short; ``>`` as in ``table``
    details: Sequence[str]
    rows: list[tuple[Sequence[Cell], Sequence[str]]] = field(default_factory=list)

    def add_row(self, cells: Sequence[Cell], details: Sequence[str]) -> None:
        """Add a row with its details; empty ones are left out."""
        shown = [printable(cell) if isinstance(cell, str) else cell for cell in cells]
        self.rows.append((shown, [printable(text) for text in details]))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table for the width of the console."""
        if options.max_width >= WIDE:
            whole = table(*self.columns, *self.details)
            for cells, details in self.rows:
                whole.add_row(*cells, *details)
            yield whole
            return
        widths = self._widths(options.max_width)
        head = [Text(name.lstrip(">"), style="bold") for name in self.columns]
        yield self._line(head, widths)
        for cells, details in self.rows:
            yield self._line(cells, widths)
            named = zip(self.details, details, strict=True)
            parts = [text if name == NOTE else f"{name}: {text}" for name, text in named if text]
            if parts:
                yield Padding(Text("; ".join(parts), style="dim"), (0, 0, 0, _INDENT))

    def _widths(self, room: int) -> list[int]:
        """Return the width of each column; the first one gives way."""
        head = [Text(name.lstrip(">")) for name in self.columns]
        lines: list[Sequence[Cell]] = [head, *(cells for cells, _ in self.rows)]
        widths = [
            max(Text(str(cell)).cell_len for cell in column) for column in zip(*lines, strict=True)
        ]
        beyond = sum(widths) + _GAP * (len(widths) - 1) - room
        if beyond > 0:
            widths[0] = max(_LEAST_WIDTH, widths[0] - beyond)
        return widths

    def _line(self, cells: Sequence[Cell], widths: Sequence[int]) -> Table:
        line = Table.grid(padding=(0, _GAP, 0, 0))
        for name, width in zip(self.columns, widths, strict=True):
            number = name.startswith(">")
            line.add_column(width=width, justify="right" if number else "left", overflow="fold")
        line.add_row(*cells)
        return line
