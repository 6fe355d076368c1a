"""A console that shows control characters instead of sending them to the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from hpoq.presentation import printable


class PrintableConsole(Console):
    """A console for text that others wrote, whichever tables, panels and styles it is in."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render an object, with its text printable; the codes of rich itself stay."""
        for each in super().render(renderable, options):
            yield each if each.control else Segment(printable(each.text), each.style)
