"""Names, reasons and log lines of others cannot rewrite the terminal of their reader."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hpoq.cli import output
from hpoq.cli.noted_table import NotedTable
from hpoq.presentation import printable

# Set the title of the window, move up and erase the line, overwrite the line, an 8-bit CSI.
WICKED = "\x1b]0;title\x07\x1b[1A\x1b[2Kall is well\rgone\x9b2K"


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def controls(text: str) -> set[str]:
    return {each for each in text if ord(each) < 32 or 127 <= ord(each) < 160} - {"\n", "\t"}


def test_control_characters_are_shown_and_other_text_stays() -> None:
    assert printable("Grüße\t日本\n") == "Grüße\t日本\n"
    assert printable("\x1b[2K\r\x9b") == "\\x1b[2K\\x0d\\x9b"


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
