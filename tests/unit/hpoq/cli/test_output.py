"""Names, reasons and log lines of others cannot rewrite the terminal of their reader."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hpoq.cli import output
from hpoq.cli.noted_table import NotedTable
from hpoq.presentation import printable

# Set the title of the window, move up and erase the line, overwrite the line, an 8-bit CSI, and
# show the rest of the line from right to left.
WICKED = "\x1b]0;title\x07\x1b[1A\x1b[2Kall is well\rgone\x9b2K \u202etxt.exe\u2066"


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def controls(text: str) -> set[str]:
    """Return the control characters of a text, and those that change its direction."""
    direction = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
    control = {each for each in text if ord(each) < 32 or 127 <= ord(each) < 160}
    return (control | set(text) & direction) - {"\n", "\t"}


def grid(cell: str) -> Table:
    made = Table.grid()
    made.add_row(cell)
    return made


def test_control_characters_are_shown_and_other_text_stays() -> None:
    assert printable("Grüße\t日本\n") == "Grüße\t日本\n"
    assert printable("\x1b[2K\x07\x9b") == "\\x1b[2K\\x07\\x9b"
    assert printable("a\rb") == "a\\rb"


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
def test_characters_that_change_the_direction_of_text_are_shown(code: int) -> None:
    """A reader sees the order in which a program reads the text (CVE-2021-42574)."""
    assert printable(f"a{chr(code)}b") == f"a\\u{code:04x}b"


def test_messages_and_results_on_a_terminal_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    output.line(WICKED)
    output.say(WICKED)
    assert controls(out.getvalue()) == set()
    assert controls(err.getvalue()) == set()
    assert "all is well" in out.getvalue()


def test_a_warning_has_its_color_only(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setattr("sys.stderr", err)
    output.warn(WICKED)
    said = err.getvalue()
    assert "all is well" in said
    assert controls(said.replace("\x1b[31m", "").replace("\x1b[0m", "")) == set()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    "made",
    [
        pytest.param(WICKED, id="text"),
        pytest.param(Text(WICKED, style="bold"), id="styled text"),
        pytest.param(Group(Text("a"), WICKED), id="group"),
        pytest.param(Panel(Text("a"), title=WICKED), id="title"),
        pytest.param(Padding(WICKED, 1), id="padding"),
        pytest.param(grid(WICKED), id="grid"),
    ],
)
def test_whatever_is_shown_has_none(
    monkeypatch: pytest.MonkeyPatch, made: RenderableType, *, terminal: bool
) -> None:
    out = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("NO_COLOR", "1")
    output.show(made)
    shown = re.sub(r"\x1b\[1?m|\x1b\[0m", "", out.getvalue())  # bold
    assert controls(shown) == set()
    assert "all is well" in shown


def test_a_display_that_is_drawn_again_moves_the_cursor_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    with Live(console=output.console(), auto_refresh=False) as live:
        for _ in range(2):
            live.update(Group(Text("a"), Text(WICKED)), refresh=True)
    assert "\x1b[1A" in out.getvalue()  # by rich, to draw again
    assert "\x1b]0;" not in out.getvalue()
    assert "\u202e" not in out.getvalue()


def test_a_pipe_gets_the_log_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    output.line(WICKED)
    assert capsys.readouterr().out == f"{WICKED}\n"


@pytest.mark.parametrize("width", [80, 160])
def test_tables_have_none(width: int) -> None:
    table = NotedTable(["request"], ["note"])
    table.add_row([WICKED], [WICKED])
    shown = io.StringIO()
    Console(file=shown, width=width).print(table)
    assert controls(shown.getvalue()) == set()
