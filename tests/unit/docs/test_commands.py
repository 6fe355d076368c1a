"""docs/cli.md describes every command."""

from __future__ import annotations

from pathlib import Path

import typer

from hpoq.cli.app import app

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def test_the_page_describes_every_command() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    page = PAGE.read_text()
    assert [name for name in commands if f"`hpoq {name}" not in page] == []
