"""Run times as one course of the next hours draws them. Pure.

Those of the same team and template count, with a similar maximum run time: who allows a tuning
job five days expects it to run longer than one that may run an hour. While a team has few
of them, those of teams with similar run times count as well.

While few tuning jobs of a kind have ended, those that still run are the long ones. Their run times
so far count as well, as with Kaplan and Meier's estimator (JASA 1958): a job that still runs passes
its weight to those that ran longer.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hpo_dispatcher.contract.documents.capacity import RunningTuningJob
from hpo_dispatcher.scheduling.forecast.future import RunTimeFacts
from hpo_dispatcher.scheduling.history.run_times import (
    ENOUGH,
    SAMPLES,
    RunTimes,
    Work,
    alike,
)

Kind = tuple[str, str, float]  # team, template, maximum run time in seconds per round
# The run times of other teams count together as much as so many of the team's own.
OF_OTHERS = 40
# The distance of two distribution functions, for samples of one instance each (Smirnov 1948).
ONE_OF_TWENTY = 1.358
# A job that has run longer than all similar ones is as likely to run twice as long as a quarter of
# the jobs are with run times of Pareto's distribution with this exponent.
TAIL = 2.0
LONGEST_TAIL = 4.0  # relative to the time that the job has run


class Possible(NamedTuple):
    """A run time of a kind of tuning job, and how likely it is."""

    seconds: float
    weight: float
    ended: bool  # False: the run time is longer than that


class Durations:
    """The run times of one course.

    Args:
        run_times: of tuning jobs that have ended.
        running: those that use capacity, with the seconds that each has run.
        draw: the random numbers.
    """

    def __init__(
        self,
        run_times: RunTimes,
        running: Iterable[tuple[RunningTuningJob, float]],
        draw: random.Random,
    ) -> None:
        self._run_times = run_times
        self._draw = draw
        self._unended: dict[Kind, list[float]] = {}
        for each, elapsed in running:
            rounds = max(1, each.rounds)
            kind = each.team or "", each.template, each.most_seconds / rounds
            self._unended.setdefault(kind, []).append(elapsed / rounds)
        self._drawn: dict[Kind, list[Possible]] = {}

    def left(self, work: Work, known: RunTimeFacts, elapsed: float = 0.0) -> float:
        """Draw how long a tuning job that has run for some seconds will still run.

        Args:
            work: the tuning job.
            known: what its request says about its run time.
            elapsed: the seconds.
        """
        seconds = self._stated(work, known.stated, elapsed) or self._like_others(
            work, elapsed, known.most
        )
        return max(0.0, min(seconds, known.most or seconds) - elapsed)

    def _stated(self, work: Work, stated: float, elapsed: float) -> float:
        ratios = [each for each in self._run_times.ratios(work) if each * stated > elapsed]
        return self._draw.choice(ratios) * stated if ratios else 0.0

    def _like_others(self, work: Work, elapsed: float, most: float) -> float:
        rounds = max(1, work.rounds)
        longer = [each for each in self._possible(work, most) if each.seconds * rounds > elapsed]
        # Not more than most: a tuning job that may run longer tells little of one that may not.
        like = [each for each in longer if not most or each.seconds * rounds <= most] or longer
        if not like:
            return elapsed * self._tail()
        seconds, _, ended = self._draw.choice(like)
        return seconds * rounds * (1.0 if ended else self._tail())

    def _tail(self) -> float:
        return min(LONGEST_TAIL, math.pow(1 - self._draw.random(), -1 / TAIL))

    def _possible(self, work: Work, most: float) -> list[Possible]:
        """Return run times drawn with replacement, as many as are known (the bootstrap)."""
        kind = work.team, work.template, most / max(1, work.rounds)
        if kind not in self._drawn:
            known, count = self._known(kind)
            weights = [each.weight for each in known]
            again = self._draw.choices(known, weights, k=count) if known else []
            self._drawn[kind] = [each._replace(weight=1.0) for each in again]
        return self._drawn[kind]

    def _known(self, kind: Kind) -> tuple[list[Possible], int]:
        """Return the run times that count, and how many the team has, or as if it had them."""
        team, template, most = kind
        by_team = self._run_times.by_team(template, most)
        own = by_team.pop(team, [])
        others = [each for found in by_team.values() if similar(own, found) for each in found]
        any_maximum = len(own) + len(others) < ENOUGH
        if any_maximum:
            own, others = self._run_times.of(Work(team=team, template=template)), []
        unended = [
            elapsed
            for (of, name, their_most), found in self._unended.items()
            if (of, name) == (team, template) and (any_maximum or alike(their_most, most))
            for elapsed in found
        ]
        few = len(self._run_times.kinds.get((team, template), ())) < SAMPLES
        known = possible(own, unended if few else ())
        if not others or len(own) >= SAMPLES:
            return known, len(known)
        of_others = OF_OTHERS / (len(own) + OF_OTHERS)
        mixed = [each._replace(weight=each.weight * (1 - of_others)) for each in known]
        mixed += [Possible(each, of_others / len(others), True) for each in others]
        return mixed, min(len(mixed), len(known) + OF_OTHERS)


def similar(first: Sequence[float], second: Sequence[float]) -> bool:
    """Return whether two samples may be of one distribution.

    This is the test of Kolmogorov and Smirnov: samples of one distribution differ more in one of
    twenty cases only.
    """
    if not first or not second:
        return True
    ordered, others = sorted(first), sorted(second)
    most = max(
        abs(bisect_right(ordered, at) / len(ordered) - bisect_right(others, at) / len(others))
        for at in (*ordered, *others)
    )
    return most <= ONE_OF_TWENTY * math.sqrt(1 / len(ordered) + 1 / len(others))


def possible(ended: Sequence[float], unended: Sequence[float]) -> list[Possible]:
    """Return run times with their weights, which add up to 1.

    Args:
        ended: run times of tuning jobs that have ended.
        unended: how long others have run so far.
    """
    seen = sorted([*((each, True) for each in ended), *((each, False) for each in unended)])
    found: list[Possible] = []
    weight = 1 / len(seen) if seen else 0.0
    for place, (seconds, has_ended) in enumerate(seen):
        behind = len(seen) - place - 1
        if has_ended or not behind:
            found.append(Possible(seconds, weight, has_ended))
        else:
            weight += weight / behind
    return found
