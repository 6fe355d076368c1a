"""docs/cli.md describes every command."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from hpoq.cli.app import app

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def test_the_page_describes_every_command() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    page = PAGE.read_text()
    assert [name for name in commands if f"`hpoq {name}" not in page] == []


@pytest.mark.parametrize(
    "page", sorted(PAGE.parent.glob("quickstart-*.md")), ids=lambda page: page.stem
)
def test_a_quick_start_has_a_request_that_must_complete(page: Path) -> None:
    """`hpoq watch` fails unless the request is Completed; test_documents.py runs the command."""
    assert "examples/demo/requests" in page.read_text()
    assert "| hpoq watch --team" in page.read_text()
