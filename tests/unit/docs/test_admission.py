"""Every rule of admission names tests that exist, and every number is the measured one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.measured import PAGE, filled, stored_results

ROOT = Path(__file__).resolve().parents[3]
TESTS = re.compile(r"`(tests/[\w/]+\.py)`\s+\(([^)]+)\)")


def rules() -> dict[str, str]:
    """Return the text of each rule by its heading."""
    page = PAGE.read_text()
    part = page.split("\n## The rules\n")[1].split("\n## ")[0]
    headings, *texts = re.split(r"^### (.+)$", part, flags=re.MULTILINE)
    assert not headings.strip()
    return dict(zip(texts[::2], texts[1::2], strict=True))


@pytest.mark.parametrize("rule", rules())
def test_a_rule_names_tests_that_exist(rule: str) -> None:
    named = TESTS.findall(rules()[rule])
    assert named
    for path, names in named:
        source = (ROOT / path).read_text()
        for name in re.findall(r"`(\w+)`", names):
            assert f"def {name}(" in source, f"{path} has no {name}"


def test_the_numbers_are_the_measured_ones() -> None:
    page = PAGE.read_text()
    assert page == filled(page, stored_results()), "run: python -m tools.measured"
