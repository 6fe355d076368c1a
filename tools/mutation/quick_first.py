"""A plugin of pytest for mutation runs: quick tests first, because the first failure ends a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

STATISTICS = Path("mutmut-stats.json")  # of mutmut, in the folder in which it runs tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests by the seconds that they took when mutmut timed them; new ones come first."""
    if STATISTICS.exists():
        seconds: dict[str, float] = json.loads(STATISTICS.read_text())["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))
