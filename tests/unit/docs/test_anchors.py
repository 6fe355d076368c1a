"""Every link to a section, in a page or in a message of the code, names a section that exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = ("examples", "hpoq", "infra", "lambdas", "tools", "training")
IN_PAGE = re.compile(r"\]\(([^)#\s:]*)#([^)\s]+)\)")
IN_SOURCE = re.compile(r"docs/([a-z0-9/-]+\.md)#([a-z0-9-]+)")


def sections(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them: without punctuation, in lower case."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def missing(links: Iterator[tuple[Path, str, str]]) -> list[str]:
    return [
        f"{page.name}#{name} in {where}"
        for page, name, where in links
        if name not in sections(page)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_pages_name_sections(page: Path) -> None:
    links = IN_PAGE.findall(page.read_text())
    targets = ((page.parent / file if file else page, anchor, page.name) for file, anchor in links)
    assert missing(iter(targets)) == []


def test_messages_of_the_code_name_sections() -> None:
    found = [
        (ROOT / "docs" / page, anchor, file.name)
        for folder in SOURCES
        for file in (ROOT / folder).rglob("*.py")
        for page, anchor in IN_SOURCE.findall(file.read_text())
    ]
    assert len(found) > 3
    assert missing(iter(found)) == []
