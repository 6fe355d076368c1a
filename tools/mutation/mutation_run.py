"""A plugin of pytest for mutation runs: quick tests first, and no results of earlier tests.

The first failure ends a run, so quick tests come first. mutmut runs the tests of each mutant in a
copy of a process that has run all tests before: what functions keep there is of the source without
the mutant, so it is cleared.
"""

from __future__ import annotations

import json
import sys
from functools import _lru_cache_wrapper
from pathlib import Path

import pytest

STATISTICS = Path("mutmut-stats.json")  # of mutmut, in the folder in which it runs tests
OURS = ("hpo_dispatcher", "hpoq")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests by the seconds that they took when mutmut timed them; new ones come first."""
    if STATISTICS.exists():
        seconds: dict[str, float] = json.loads(STATISTICS.read_text())["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))
    clear_caches()


def clear_caches() -> None:
    """Clear the caches of our functions."""
    ours = [module for name, module in sys.modules.items() if name.startswith(OURS)]
    for each in (value for module in ours for value in vars(module).values()):
        if isinstance(each, _lru_cache_wrapper):
            each.cache_clear()
