"""Paths that the documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = "benchmarks|docs|examples|hpoq|infra|lambdas|layers|notebooks|tests|tools|training"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)[`:]")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_in_a_document_exist(document: Path) -> None:
    if document.name == "CHANGELOG.md":
        return  # names files of earlier versions
    missing = [path for path in PATH.findall(document.read_text()) if not (ROOT / path).exists()]
    assert not missing
