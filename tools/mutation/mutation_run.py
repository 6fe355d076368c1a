"""A plugin of pytest for mutation runs: likely killers first, and no results of earlier tests.

The first failure ends a run, so tests come first that have killed other mutants of the same
function or module in little time, then quick ones. A mutant that none has killed after some seconds
survives: the score is a lower bound. mutmut runs the tests of each mutant in a copy of a process
that has run all tests before: what functions keep there is of the source without the mutant, so it
is cleared.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import _lru_cache_wrapper
from pathlib import Path

import pytest

STATISTICS = Path("mutmut-stats.json")  # of mutmut, in the folder in which it runs tests
KILLS = Path("kills.txt")  # a line for each killed mutant: its name, and the test that killed it
UNDER_TEST = "MUTANT_UNDER_TEST"  # mutmut's variable with the name of the mutant
NOTING = "stats"  # its value while mutmut notes which functions each test reaches
SURVIVED = 0  # the exit status of a run without a failure
MOST_SECONDS = 6.0  # of the CPU, for the tests of a mutant
OURS = ("hpo_dispatcher", "hpoq")


# Loggers keep the closed output of the session before, and would complain about it.
logging.raiseExceptions = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put likely killers first, then the tests that were quick when mutmut timed them."""
    if STATISTICS.exists():
        seconds: dict[str, float] = json.loads(STATISTICS.read_text())["duration_by_test"]
        lines = KILLS.read_text().splitlines() if KILLS.exists() else []
        place = places(lines, os.environ.get(UNDER_TEST, ""), seconds)
        items.sort(key=lambda item: place.get(item.nodeid, (0.0, 0.0)))
    clear_caches()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """End the run of a mutant that none of the likeliest tests has killed.

    While mutmut notes which functions each test reaches, no test finds results of the one before,
    which would hide the functions that they come from.
    """
    mutant = os.environ.get(UNDER_TEST, "")
    if mutant == NOTING:
        clear_caches()
    if "__mutmut_" in mutant and time.process_time() > MOST_SECONDS:
        pytest.exit("not killed in time", returncode=SURVIVED)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note which test killed the mutant."""
    mutant = os.environ.get(UNDER_TEST, "")
    if report.failed and "__mutmut_" in mutant:
        with KILLS.open("a") as kills:
            kills.write(f"{mutant} {report.nodeid}\n")


def places(
    kills: Sequence[str], mutant: str, seconds: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Return where each test belongs: the least comes first.

    Args:
        kills: lines with the name of a killed mutant and the test that killed it.
        mutant: the name of the one to be tested.
        seconds: that each test takes.
    """
    function = mutant.rpartition("__mutmut_")[0]
    module = mutant.rpartition(".")[0]
    killed: Counter[str] = Counter()
    for line in kills:
        name, _, test = line.partition(" ")
        if name.rpartition(".")[0] == module:
            killed[test] += 10 if name.rpartition("__mutmut_")[0] == function else 1
    # Starting a test takes a hundredth of a second or so.
    return {test: (-killed[test] / (took + 0.01), took) for test, took in seconds.items()}


def clear_caches() -> None:
    """Clear the caches of our functions."""
    ours = [module for name, module in sys.modules.items() if name.startswith(OURS)]
    for each in (value for module in ours for value in vars(module).values()):
        if isinstance(each, _lru_cache_wrapper):
            each.cache_clear()
