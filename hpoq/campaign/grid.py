"""Grids of categorical values, and parts of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any


def point_count(grid: Mapping[str, Sequence[Any]]) -> int:
    """Return the number of combinations of values."""
    return math.prod(len(values) for values in grid.values())


def partition(
    grid: Mapping[str, Sequence[Any]], max_points: int
) -> Iterator[dict[str, tuple[Any, ...]]]:
    """Cut a grid into parts of at most ``max_points`` that cover it without overlap."""
    if point_count(grid) <= max_points:
        yield {name: tuple(values) for name, values in grid.items()}
        return
    longest = max(grid, key=lambda name: len(grid[name]))
    values = grid[longest]
    half = len(values) // 2
    yield from partition({**grid, longest: values[:half]}, max_points)
    yield from partition({**grid, longest: values[half:]}, max_points)


def checksum(grid: Mapping[str, Sequence[Any]]) -> int:
    """Return a number that adds up over parts only if they cover the grid without overlap.

    A point counts as the product of its values' hashes. The sum over all points, possibly
    millions, is then the product of one sum per hyperparameter.
    """
    return math.prod(
        sum(_hash(f"{name}={value!r}") for value in each) for name, each in grid.items()
    )


@cache
def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
