"""Forecasts that know what no dispatcher can know: how run times and arrivals are distributed.

They draw run times from those of many other workloads of the same kind, and arrivals from one of
them. The error that is left is the least that any forecast can have.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, RecentArrival
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.forecast.course import Course
from hpo_dispatcher.scheduling.forecast.future import Future, RunTimeFacts
from hpo_dispatcher.scheduling.history.run_times import Work
from hpoq.simulation.simulate import START
from hpoq.simulation.workload import (
    DEFAULT_RUN_SECONDS,
    LONGEST_RUN_SECONDS,
    Arrival,
    Workload,
)

OTHERS = range(1_000, 1_030)  # the seeds of the other workloads
TOGETHER = 1.0  # seconds: requests that arrive within them are one batch

Drawn = Callable[[int], Workload]  # a workload of a kind, by its seed
Kind = tuple[str, bool]  # team, and whether the maximum run time is longer than the default


class KnownDistributions:
    """How run times and arrivals of a kind of workload are distributed.

    Args:
        drawn: returns a workload of the kind.
    """

    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self._seconds: dict[Kind, list[float]] = {}
        for arrival in (each for seed in OTHERS for each in drawn(seed).arrivals):
            self._seconds.setdefault(_kind(arrival), []).append(arrival.seconds)
        for seconds in self._seconds.values():
            seconds.sort()

    def left(self, kind: Kind, elapsed: float, draw: random.Random) -> float:
        """Draw how many seconds a tuning job will still run."""
        seconds = self._seconds.get(kind, [])
        longer = bisect_right(seconds, elapsed)
        return (
            seconds[draw.randrange(longer, len(seconds))] - elapsed if longer < len(seconds) else 0
        )


class KnownCourse(Course):
    """Courses that start from a document, and draw from the real distributions.

    Args:
        document: of a simulated dispatcher.
        teams: the settings of all teams.
        known: the distributions.
    """

    def __init__(
        self,
        document: CapacityDocument,
        teams: Mapping[str, TeamSettings],
        known: KnownDistributions,
    ) -> None:
        super().__init__(document, teams)
        self._known = known
        self._at = (document.at - START).total_seconds()

    def future(self, draw: random.Random) -> Future:
        """Return the real distributions of run times, and the arrivals of another workload."""
        other = self._known.drawn(draw.randrange(2**32))
        return Future(_RunTimes(self._known, draw), _Arrivals(other.arrivals, self._at))


class _RunTimes:
    def __init__(self, known: KnownDistributions, draw: random.Random) -> None:
        self._known, self._draw = known, draw

    def left(self, work: Work, known: RunTimeFacts, elapsed: float = 0.0) -> float:
        kind = work.team, known.most > DEFAULT_RUN_SECONDS
        return self._known.left(kind, elapsed, self._draw)


class _Arrivals:
    """The arrivals of a workload after a time; seconds after the start."""

    def __init__(self, arrivals: Sequence[Arrival], after: float) -> None:
        self._later = sorted((a for a in arrivals if a.at > after), key=lambda a: -a.at)
        self._at = after

    def wait(self, _: random.Random) -> float | None:
        if not self._later:
            return None
        before, self._at = self._at, self._later[-1].at
        return self._at - before

    def batch(self, _: random.Random) -> Sequence[RecentArrival]:
        batch = []
        while self._later and self._later[-1].at < self._at + TOGETHER:
            batch.append(_recent(self._later.pop()))
        return batch


def _recent(arrival: Arrival) -> RecentArrival:
    return RecentArrival(
        team=arrival.team,
        at=START + timedelta(seconds=arrival.at),
        instances={arrival.instance_type: arrival.parallel},
        priority=arrival.priority,
        most_seconds=LONGEST_RUN_SECONDS if _kind(arrival)[1] else DEFAULT_RUN_SECONDS,
    )


def _kind(arrival: Arrival) -> Kind:
    return arrival.team, arrival.seconds > DEFAULT_RUN_SECONDS
