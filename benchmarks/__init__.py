"""Benchmarks with goals; each module that defines NAME and results() is one benchmark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from benchmarks.measure import Measure


@runtime_checkable
class Benchmark(Protocol):
    """A module of this folder that measures something."""

    NAME: str

    def results(self) -> Iterable[Measure]:
        """Yield each measure as soon as it is known."""
