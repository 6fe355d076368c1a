"""The order of tests, how they are distributed over processes, and Hypothesis profiles."""

from __future__ import annotations

import functools
import gc
import os
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import botocore.session
import pytest
from botocore.loaders import create_loader
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Test processes compute in one thread, as trials do. Two threads of PyTorch in each of two
# processes on two cores wait for each other: training tests took five times the CPU time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Every run tries the same examples, so that a failure is caused by the change under test.
# To search for new ones: pytest --hypothesis-profile=explore --hypothesis-seed=random
# Without a deadline, which examples exceed on a busy machine, or when mutants are run.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=500)
settings.load_profile("repeatable")


# All sessions share one loader of API models: a new one reads megabytes of JSON again, which took
# a tenth of the time of tests that run commands.
botocore.session.create_loader = functools.cache(create_loader)

TESTS = Path(__file__).parent
ALL = bool(os.environ.get("HPOQ_TEST_ALL"))
NOTEBOOKS = "cloud/test_campaign_notebooks.py"
# The files that take longest start first, so that no process is left with a long one at the end.
FIRST = (
    NOTEBOOKS, "cloud/", "training_runs/", "faults/test_fault_matrix.py", "simulations/",
    "release/", "unit/infra/",
)  # fmt: skip
# These tests run code again and again that unit tests cover. Tracing would double their time.
UNCOVERED = ("faults/", "upgrade/", "training_runs/")


# Folders whose files share a process: another embedded cloud with a deployment takes a minute, and
# each process that synthesizes the stack starts Node.js, which takes ten seconds of CPU time.
SHARED = ("tests/cloud/", "tests/unit/infra/")
# Files of these folders that share nothing: their tests start clouds of their own, or none.
ALONE = (
    NOTEBOOKS, "cloud/test_lifecycle.py", "cloud/test_new_account.py", "cloud/test_speed.py",
    "cloud/test_wheel.py",
)  # fmt: skip
# Files that need a cloud without the stack that the others share. They have a process of their own.
WITHOUT_STACK = (
    "cloud/test_bad_input.py", "cloud/test_campaign.py", "cloud/test_flood.py",
    "cloud/test_functions.py", "cloud/test_other_clients.py", "cloud/test_preemption.py",
    "cloud/test_removed_team.py", "cloud/test_resource_policies.py", "cloud/test_workflows.py",
)  # fmt: skip


class ByFile(LoadScopeScheduling):
    """A scheduler that keeps each file in one process, and the files of a SHARED folder together.

    Files that are ALONE are an exception, and those WITHOUT_STACK are kept together, too. The mark
    ``xdist_group`` would express the same, but pytest 9.2 ignores it (pytest-xdist issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = next((each for each in SHARED if file.startswith(each)), None)
        if folder is None or file.endswith(ALONE):
            return file
        return "without stack" if file.endswith(WITHOUT_STACK) else folder


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Distribute files in the order of collection, whatever ``--dist`` says."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what only CI runs. Put the longest files first, then those with slow tests."""
    if not ALL:
        for item in items:
            if item.get_closest_marker("ci"):
                item.add_marker(pytest.mark.skip(reason="runs in CI, and with make test ALL=1"))
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def rank(item: pytest.Item) -> int:
        if (name := _name(item)).startswith(FIRST):
            return [name.startswith(each) for each in FIRST].index(True)
        return len(FIRST) + (item.path not in slow)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Exempt imported modules from garbage collection, which took a third of moto tests' time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run tests in UNCOVERED without tracing: pytest-cov's mark has no effect in xdist workers."""
    if not _name(item).startswith(UNCOVERED):
        return (yield)
    tracing, in_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]  as before, when it was None
    try:
        return (yield)
    finally:
        sys.settrace(tracing)
        threading.settrace(in_threads)  # type: ignore[arg-type]  as before


def _name(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()
