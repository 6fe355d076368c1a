"""How trials are cut into tuning jobs. Sums are exact; the tail of the campaign is short.

What costs time is the end of each tuning job, when its last trials hold less than the
parallelism it was given, and the next job waits until enough of them have ended. So there are as
few wide jobs as may be, and narrow ones follow, which fill single free slots and shrink towards
the end (guided self-scheduling, Polychronopoulos and Kuck 1987).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

# Rounds (trials over slots) that are left when jobs become narrow, and their share of all.
# Chosen by benchmarks/campaigns.py: more shortens the tail no further, and costs learning.
NARROW_ROUNDS = 30
NARROW_SHARE = 0.3
NARROW_FACTOR = 2.0  # a narrow job takes 1 / (factor x slots) of what is left


@dataclass(frozen=True)
class Shape:
    """Trials of one tuning job, and how many of them run at once."""

    trials: int
    parallel: int


def lanes(slots: int, parallel: int) -> list[int]:
    """Parallelism of the wide jobs that together fill all slots, as evenly as can be."""
    count = math.ceil(slots / parallel)
    return [slots // count + (index < slots % count) for index in range(count)]


def guided(trials: int, *, slots: int, tuning_jobs: int, parallel: int, most: int) -> list[Shape]:
    """Jobs that shrink towards the end.

    Args:
        trials: of all jobs together.
        slots: trials that may run at once.
        tuning_jobs: tuning jobs that may run at once.
        parallel: trials of one tuning job that may run at once.
        most: trials of one tuning job.

    Returns:
        In the order in which they start; their trials add up to ``trials``.
    """
    narrow = math.ceil(slots / tuning_jobs)
    left = min(NARROW_ROUNDS * slots, math.floor(NARROW_SHARE * max(0, trials - slots)))
    shapes = _wide(trials - left, slots=slots, narrow=narrow, parallel=parallel, most=most)
    while left:
        share = math.ceil(left / (NARROW_FACTOR * slots))
        size = min(left, most, share * narrow)
        shapes.append(Shape(size, min(narrow, size)))
        left -= size
    return shapes


def _wide(trials: int, *, slots: int, narrow: int, parallel: int, most: int) -> list[Shape]:
    """The fewest generations of jobs, each over all slots.

    From the second one on jobs are half as wide: they start sooner on what a draining one frees.
    """
    first = lanes(min(slots, trials), parallel)
    later = lanes(slots, max(narrow, math.ceil(parallel / 2)))
    more = math.ceil(max(0, trials - _room(first, most)) / _room(later, most))
    begun = min(_room(first, most), math.ceil(trials / (more + 1)))
    shapes = even(begun, first)
    for generation in divided(trials - begun, more) if more else ():
        shapes += even(generation, later)
    return shapes


def _room(widths: Sequence[int], most: int) -> int:
    """Trials of one job a lane, such that no job gets more than it may hold."""
    return sum(widths) * most // max(widths)


def even(trials: int, widths: Sequence[int]) -> list[Shape]:
    """One job a lane, each with its lane's share; lanes that would be empty are left out."""
    total = sum(widths)
    bounds = [trials * sum(widths[:index]) // total for index in range(len(widths) + 1)]
    sizes = [after - before for before, after in pairwise(bounds)]
    return [Shape(n, min(width, n)) for n, width in zip(sizes, widths, strict=True) if n]


def divided(trials: int, parts: int) -> list[int]:
    """Nearly equal whole numbers that add up."""
    return [trials // parts + (index < trials % parts) for index in range(parts)]


def partition(grid: Mapping[str, Sequence[Any]], most: int) -> Iterator[dict[str, tuple[Any, ...]]]:
    """Cut a grid into parts of at most ``most`` points that cover it without overlap."""
    if math.prod(len(values) for values in grid.values()) <= most:
        yield {name: tuple(values) for name, values in grid.items()}
        return
    longest = max(grid, key=lambda name: len(grid[name]))
    values = grid[longest]
    half = len(values) // 2
    yield from partition({**grid, longest: values[:half]}, most)
    yield from partition({**grid, longest: values[half:]}, most)
