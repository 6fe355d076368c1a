"""The outlook of queued requests: position, expected start and its range. Pure.

The estimate continues from the ``capacity`` document, as ``course`` draws it. The drawn start from
which all of them differ least is the estimate, and their spread the range. Real starts differ more
from it than draws do: requests that are still to come are drawn from few, and the next month's
budgets are not foreseen. So the range is stretched as ``calibration`` says: as much as the starts
of the last weeks would have needed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import Entry, Key, Status
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.forecast.calibration import Calibration
from hpo_dispatcher.scheduling.forecast.course import Course, DrawnCourse
from hpo_dispatcher.scheduling.history.queue_counts import QueueCount, QueueCounts

# Courses of one forecast. With more of them the expected start depends less on chance.
LEAST_DRAWS, MOST_DRAWS = 9, 29
# Once so many plans were made, no more courses than the fewest are drawn; each takes about 0.5 ms.
ENOUGH_PLANS = 1_000

# Counts the requests of a team's queue between two sort keys, both included; None: unknown.
QueuedBetween = Callable[[str, str, str], int | None]


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The outlook of one queued request; None if something is unknown."""

    position: int | None = None  # in its team's queue, from 1
    exact: bool = True  # False: counted by the score, as far back as it is
    of_team: int = 0  # requests in that queue
    overall: int | None = None  # requests of all teams that start no later, itself included
    starts_in: float | None = None  # seconds; the expected start
    earliest: float | None = None  # seconds; the start of the range
    latest: float | None = None  # seconds; the end of the range
    run_times: int = 0  # ended tuning jobs that the estimate is based on


@dataclass(frozen=True)
class Spread:
    """The starts of one request in all draws, sorted; seconds after the document."""

    starts: tuple[float, ...]
    overall: int

    def extrapolated(self, factor: float) -> Spread:
        """Return the spread of a request that is this many times as far back in the queue."""
        return Spread(
            tuple(start * factor for start in self.starts), max(1, round(self.overall * factor))
        )


class Forecast:
    """The outlooks of the requests in one ``capacity`` document.

    Args:
        document: as the last cycle wrote it; None before the first cycle.
        teams: the settings of all teams.
        seed: equal seeds give equal forecasts.
    """

    def __init__(
        self, document: CapacityDocument | None, teams: Mapping[str, TeamSettings], seed: int = 1
    ) -> None:
        self._teams = teams
        self._waiting = {each.key: each for each in document.waiting} if document else {}
        self._queue_counts = QueueCounts.from_published(document.queues if document else {})
        self._samples = (
            sum(len(kind.seconds_per_round) for kind in document.run_times) if document else 0
        )
        self._spreads: dict[Key, Spread] = {}
        if document:
            self._at = document.at
            self._calibration = Calibration.of(document)
            if self._samples and self._waiting:
                course = Course(document, self._teams)
                self._spreads = drawn_spreads(course, random.Random(seed))  # noqa: S311

    def of(
        self, entry: Entry, now: datetime, queued_between: QueuedBetween | None = None
    ) -> Outlook:
        """Return the outlook of a request; empty for one that is in no queue.

        Args:
            entry: as the ledger has it.
            now: the estimate counts from here.
            queued_between: counts requests for an exact position, with one read; None: the position
                of a request that the document does not list is approximate.
        """
        if entry.status is not Status.QUEUED or entry.on_hold or entry.blocked:
            return Outlook()
        if self._teams and entry.team not in self._teams:
            return Outlook()
        listed = self._waiting.get(entry.key)
        if listed:
            if entry.refused:  # after the document was written
                count = self._queue_counts.by_team.get(entry.team)
                of_team = max(listed.position, len(count) if count else 0)
                return Outlook(position=listed.position, exact=True, of_team=of_team)
            return self._outlook(entry.key, listed.position, True, now)
        count = self._queue_counts.by_team.get(entry.team)
        if count is None or not len(count):
            return Outlook()
        position, exact = _counted_position(count, entry, queued_between)
        return self._outlook(entry.key, position, exact, now)

    def of_listed(self, now: datetime) -> dict[Key, Outlook]:
        """Return the outlooks of all requests that the document lists."""
        return {
            key: self._outlook(key, each.position, True, now) for key, each in self._waiting.items()
        }

    def spreads(self) -> Mapping[Key, Spread]:
        """Return the drawn starts of the requests that start in most draws."""
        return self._spreads

    def _outlook(self, key: Key, position: int, exact: bool, now: datetime) -> Outlook:
        count = self._queue_counts.by_team.get(key[0])
        of_team = max(position, len(count) if count else 0)
        listed = self._waiting.get(key)
        stuck = listed is not None and not listed.reason_kind.starts_by_itself
        spread = None if stuck else self._spread(key, position)
        if spread is None:
            return Outlook(position=position, exact=exact, of_team=of_team)
        past = (now - self._at).total_seconds()
        starts = [max(0.0, start - past) for start in spread.starts]
        low, middle, high = self._calibration.range_of(starts)
        return Outlook(
            position=position,
            exact=exact,
            of_team=of_team,
            overall=max(position, spread.overall),
            starts_in=middle,
            earliest=low,
            latest=high,
            run_times=self._samples,
        )

    def _spread(self, key: Key, position: int) -> Spread | None:
        if key in self._spreads:
            return self._spreads[key]
        known = [each for each in self._spreads if each[0] == key[0]]
        if not known:
            return None
        last = max(known, key=self._position)
        return self._spreads[last].extrapolated(position / self._position(last))

    def _position(self, key: Key) -> int:
        return self._waiting[key].position


def drawn_spreads(course: Course, draw: random.Random) -> dict[Key, Spread]:
    """Return the starts in several draws of a course, of the requests that start in most of them.

    Args:
        course: to draw.
        draw: the random numbers.
    """
    drawn = _drawn(course, draw)
    found = Counter(key for each in drawn for key in each.starts)
    # A request that starts in most draws starts after the end of the others at the earliest.
    starts = {
        key: tuple(sorted(each.starts.get(key, each.seconds) for each in drawn))
        for key, count in found.items()
        if 2 * count > len(drawn)
    }
    in_order = sorted(starts, key=lambda key: (median(starts[key]), course.position(key), key))
    return {key: Spread(starts[key], rank) for rank, key in enumerate(in_order, start=1)}


def _drawn(course: Course, draw: random.Random) -> list[DrawnCourse]:
    """Draw courses: more of them if each takes few plans."""
    drawn: list[DrawnCourse] = []
    plans = 0
    while len(drawn) < (LEAST_DRAWS if plans >= ENOUGH_PLANS else MOST_DRAWS):
        drawn.append(course.draw(draw))
        plans += drawn[-1].plans
    return drawn


def _counted_position(
    count: QueueCount, entry: Entry, queued_between: QueuedBetween | None
) -> tuple[int, bool]:
    """Return a request's position in its team's queue, and whether it is exact."""
    part = count.part(entry.queue_sort_key)
    inside = (
        queued_between(entry.team, part.first, entry.queue_sort_key) if queued_between else None
    )
    if inside is None:
        return min(count.before(entry.queue_sort_key) + 1, len(count)), False
    return part.before + max(1, inside), count.complete
