"""Tables fit 80 columns: long cells move below their row, and nothing is cut off."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from hpoq.cli.noted_table import NOTE, NotedTable

LONG_ID = "credit-default-2026-11-28-second-search-over-the-narrowed-space1"
REASON = "4 of 4 ml.m5.large are in use (vision 3, others 1), and it needs 2 of them"


def printed(width: int) -> str:
    made = NotedTable(["request", "status", ">age"], ["position", NOTE])
    made.add_row([LONG_ID, Text("Queued", style="yellow"), "12 min 03 s"], ["1 of 3", REASON])
    made.add_row(["b", "Completed", "3 s"], ["", ""])
    text = io.StringIO()
    Console(file=text, width=width).print(made)
    return text.getvalue()


@pytest.mark.parametrize("width", [60, 80, 119, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_cut_off(width: int) -> None:
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for character in set((LONG_ID + REASON).replace(" ", "")):
        assert text.count(character) >= (LONG_ID + REASON).count(character), character


def test_in_a_narrow_terminal_the_details_are_below_their_row() -> None:
    assert [line.rstrip() for line in printed(100).splitlines()] == [
        "request                                                           status             age",
        f"{LONG_ID}  Queued     12 min 03 s",
        f"  position: 1 of 3; {REASON}",
        "b                                                                 Completed          3 s",
    ]
