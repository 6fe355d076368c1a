"""Value against goal: ``make bench`` runs all of it. Each module is one benchmark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from benchmarks.measure import Measure


@runtime_checkable
class Benchmark(Protocol):
    """What a module of this folder offers to be run."""

    NAME: str

    def results(self) -> Iterable[Measure]:
        """Measures, each as soon as it is known."""
