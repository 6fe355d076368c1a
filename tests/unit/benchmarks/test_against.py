"""Tests of the comparison with another commit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.against import measures
from benchmarks.side import TASKS

SIDE = Path(__file__).parents[3] / "benchmarks" / "side.py"


def test_the_median_of_the_ratios_is_compared_with_the_goal() -> None:
    # Ratios 0.5, 0.9, 1.0, 1.1 and 3.0: one busy moment does not decide.
    pairs = [(1.0, 2.0), (0.9, 1.0), (2.0, 2.0), (1.1, 1.0), (3.0, 1.0)]
    ratio, low, high, ours, theirs = measures("abc", "intake", pairs)
    assert (ratio.value, ratio.goal, ratio.holds) == (1.0, "<= 1", True)
    assert low.value < ratio.value < high.value
    assert (ours.value, theirs.value, ours.unit) == (1100.0, 1000.0, "ms")


def test_a_slower_task_misses_the_goal() -> None:
    ratio, *_ = measures("abc", "intake", [(1.01, 1.0)] * 3)
    assert ratio.holds is False


@pytest.mark.parametrize("task", TASKS)
def test_every_task_runs_with_the_present_layout(task: str) -> None:
    TASKS[task]()()


def test_a_side_answers_with_the_seconds_of_each_task() -> None:
    task = next(iter(TASKS))
    answer = subprocess.run(
        [sys.executable, "-P", str(SIDE)],
        input=f"{task}\n{task}\n",
        text=True,
        capture_output=True,
        check=True,
        env=os.environ,
    )
    assert len([float(line) for line in answer.stdout.splitlines()]) == 2
