"""Which tests come first, how they are spread over processes, and what Hypothesis tries."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# The same examples in every run, so that a red test speaks of the change at hand. To look for new
# ones: pytest --hypothesis-profile=explore --hypothesis-seed=random
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", max_examples=500)
settings.load_profile("repeatable")


HERE = Path(__file__).parent
NOTEBOOKS = "cloud/test_campaign_notebooks.py"
# The longest units of work: what starts last ends last.
FIRST = (NOTEBOOKS, "cloud/", "faults/test_fault_matrix.py")
# Slow ones that come again and again to lines that the unit tests have covered: following each
# line would take half of their time.
UNCOVERED = ("faults/", "upgrade/")


class ByFile(LoadScopeScheduling):
    """A file stays in one process, and the embedded clouds share one but for the notebooks'.

    More clouds at once on two cores would only wait for each other. Marks of ``xdist_group`` would
    say the same, but pytest 9.2 takes no notice of them (pytest-xdist issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        shared = file.startswith("tests/cloud/") and not file.endswith(NOTEBOOKS)
        return "cloud" if shared else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Whatever ``--dist`` says; files are taken in the order of their collection."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then those with slow tests."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def rank(item: pytest.Item) -> int:
        if (name := _name(item)).startswith(FIRST):
            return [name.startswith(each) for each in FIRST].index(True)
        return len(FIRST) + (item.path not in slow)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """What was imported stays, and is looked at no more: a third of the time of tests with moto."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Without coverage for UNCOVERED; pytest-cov's own mark has no effect in xdist's processes."""
    if not _name(item).startswith(UNCOVERED):
        return (yield)
    tracing, in_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]  what it was before, and may be again
    try:
        return (yield)
    finally:
        sys.settrace(tracing)
        threading.settrace(in_threads)  # type: ignore[arg-type]


def _name(item: pytest.Item) -> str:
    return item.path.relative_to(HERE).as_posix()
