"""Rules for cutting trials into tuning jobs. Sums are exact; the tail of the campaign is short.

The end of each tuning job costs time: its last trials use less than the job's parallelism, and the
next wide job waits until enough of them have ended. So there are as few wide jobs as possible.
Narrow jobs follow, which fill single free slots and shrink toward the end (guided
self-scheduling, Polychronopoulos and Kuck 1987).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

# Jobs become narrow for the last NARROW_ROUNDS rounds (trials over slots), but at most for
# NARROW_SHARE of all trials. Chosen by benchmarks/campaigns.py: greater values do not shorten the
# tail further, and narrow jobs learn little.
NARROW_ROUNDS = 30
NARROW_SHARE = 0.3
NARROW_FACTOR = 2.0  # a narrow job takes 1 / (factor x slots) of the remaining trials


@dataclass(frozen=True)
class Shape:
    """The trials of one tuning job, and how many of them run at once."""

    trials: int
    parallel: int


def lanes(slots: int, parallel: int) -> list[int]:
    """Return the parallelism of wide jobs that together fill all slots, as evenly as possible."""
    count = math.ceil(slots / parallel)
    return [slots // count + (index < slots % count) for index in range(count)]


def guided(
    trials: int, *, slots: int, tuning_jobs: int, parallel: int, max_trials: int
) -> list[Shape]:
    """Return jobs that shrink toward the end.

    Args:
        trials: of all jobs together.
        slots: trials that may run at once.
        tuning_jobs: tuning jobs that may run at once.
        parallel: trials of one tuning job that may run at once.
        max_trials: trials that one tuning job may hold.

    Returns:
        Jobs in the order in which they start; their trials add up to ``trials``.
    """
    narrow = math.ceil(slots / tuning_jobs)
    left = min(NARROW_ROUNDS * slots, math.floor(NARROW_SHARE * max(0, trials - slots)))
    shapes = _wide(
        trials - left, slots=slots, narrow=narrow, parallel=parallel, max_trials=max_trials
    )
    while left:
        share = math.ceil(left / (NARROW_FACTOR * slots))
        size = min(left, max_trials, share * narrow)
        shapes.append(Shape(size, min(narrow, size)))
        left -= size
    return shapes


def _wide(trials: int, *, slots: int, narrow: int, parallel: int, max_trials: int) -> list[Shape]:
    """Return the fewest generations of jobs, each over all slots.

    From the second generation on, jobs are half as wide, so that they start sooner on the slots
    that a draining job frees.
    """
    first = lanes(min(slots, trials), parallel)
    later = lanes(slots, max(narrow, math.ceil(parallel / 2)))
    more = math.ceil(max(0, trials - _room(first, max_trials)) / _room(later, max_trials))
    in_first = min(_room(first, max_trials), math.ceil(trials / (more + 1)))
    shapes = even(in_first, first)
    for generation in divided(trials - in_first, more) if more else ():
        shapes += even(generation, later)
    return shapes


def _room(widths: Sequence[int], max_trials: int) -> int:
    """Return how many trials one job per lane can hold."""
    return sum(widths) * max_trials // max(widths)


def even(trials: int, widths: Sequence[int]) -> list[Shape]:
    """Return one job per lane, each with its lane's share; empty lanes are left out."""
    total = sum(widths)
    bounds = [trials * sum(widths[:index]) // total for index in range(len(widths) + 1)]
    sizes = [after - before for before, after in pairwise(bounds)]
    return [Shape(n, min(width, n)) for n, width in zip(sizes, widths, strict=True) if n]


def divided(trials: int, parts: int) -> list[int]:
    """Return nearly equal whole numbers that add up to ``trials``."""
    return [trials // parts + (index < trials % parts) for index in range(parts)]


def split(shapes: Iterable[Shape], max_trials: int) -> list[Shape]:
    """Divide each job above the limit into several nearly equal ones."""
    return [
        Shape(size, min(shape.parallel, size))
        for shape in shapes
        for size in divided(shape.trials, math.ceil(shape.trials / max_trials))
    ]
