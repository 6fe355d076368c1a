"""Forecasts that know the kind of distribution of heavy-tailed run times, but not its parameters.

They know that run times are lognormal, that none is longer than the longest, and that requests with
the default maximum run time are those that end within it. They learn the rest from the run times in
the dispatcher's document. A dispatcher has to learn the kind of distribution, too.
"""

from __future__ import annotations

import math
import random
from statistics import NormalDist, fmean, pstdev

from benchmarks.heavy_tailed import LONGEST
from hpo_dispatcher.scheduling.forecast.course import Course
from hpo_dispatcher.scheduling.forecast.future import Future, RunTimeFacts
from hpo_dispatcher.scheduling.history.run_times import RunTimes, Work
from hpoq.simulation.workload import DEFAULT_RUN_SECONDS

FEW = 3
WIDE = 1.0  # the standard deviation of the logarithms that is assumed of a few run times
LEAST = 1e-9  # of a probability: its quantile is finite


class LearnedCourse(Course):
    """Courses that draw run times from a distribution whose parameters were learned."""

    def future(self, draw: random.Random) -> Future:
        """Return run times of the distribution, and arrivals as the dispatcher draws them."""
        arrivals = super().future(draw).arrivals
        return Future(LearnedRunTimes(self.run_times, draw), arrivals)


class LearnedRunTimes:
    """Lognormal run times. Their parameters are those of a sample of the known ones.

    Args:
        known: recent run times of all teams; one at least.
        draw: the random numbers.
    """

    def __init__(self, known: RunTimes, draw: random.Random) -> None:
        logs = [math.log(max(1.0, each)) for found in known.kinds.values() for each in found]
        logs = draw.choices(logs, k=len(logs))
        spread = max(0.05, pstdev(logs)) if len(logs) >= FEW else WIDE
        self._logs, self._draw = NormalDist(fmean(logs), spread), draw

    def left(self, _: Work, known: RunTimeFacts, elapsed: float = 0.0) -> float:
        """Draw how many seconds a tuning job that has run for some seconds will still run."""
        is_long = known.most > DEFAULT_RUN_SECONDS
        first = max(elapsed, DEFAULT_RUN_SECONDS if is_long else 0.0)
        below = self._logs.cdf(math.log(first)) if first else 0.0
        above = 1.0 if is_long else self._logs.cdf(math.log(DEFAULT_RUN_SECONDS))
        part = below + max(0.0, above - below) * self._draw.random()
        seconds = math.exp(self._logs.inv_cdf(min(1 - LEAST, max(LEAST, part))))
        return max(0.0, min(LONGEST, seconds) - elapsed)
