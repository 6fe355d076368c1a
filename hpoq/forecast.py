"""What a queued request can expect: its place, what it waits for, and when it may start. Pure.

The estimate plays on from the ``capacity`` document: what runs ends after a run time of its like,
drawn from the recent ones, and the dispatcher's own ``plan`` says who starts then. It does so
``DRAWS`` times: the median is the estimate, and what about one draw in ten falls below or exceeds
is its error. Requests still to come, and a budget's next month, are not foreseen.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.line_counts import Census
from hpo_dispatcher.contract.run_times import RunTimes, Work
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.cycle.publish import fronts_from
from hpo_dispatcher.scheduling.budget import HELD
from hpo_dispatcher.scheduling.plan import Capacity, Head, Holder, Snapshot, plan
from hpo_dispatcher.tuning_job.build import Demand

DRAWS = 9
# Ends that one draw plays through; what has not started by then is reckoned on from what has.
MOST_ENDS = 100
# Of each team in one plan: whoever starts next is among them.
LOOKED_AT = 25
# What has run longer than all its like is taken to need so much of that time again.
OUTLASTED = 0.1
UNSEEN = "in line; the next dispatch cycle says what for"

Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Of one queued request; None where nothing is known."""

    place: int | None = None  # in its team's line, from 1
    exact: bool = True  # False: counted by the score, as far back as it stands
    of_team: int = 0  # requests in that line
    overall: int | None = None  # requests of all teams that start no later, itself included
    starts_in: float | None = None  # seconds, the median
    earliest: float | None = None  # seconds; about one draw in ten is earlier
    latest: float | None = None  # about one in ten is later
    run_times: int = 0  # ended tuning jobs that the estimate comes from


@dataclass(frozen=True)
class _Course:
    """All draws of one request's start, in order; seconds after the document."""

    starts: tuple[float, ...]
    overall: int

    def reckoned_on(self, factor: float) -> _Course:
        """Of a request so many times as far back in the same line."""
        return _Course(
            tuple(start * factor for start in self.starts), max(1, round(self.overall * factor))
        )


class Forecast:
    """The outlooks of the requests that one ``capacity`` document was written for.

    Args:
        document: as the last cycle wrote it; empty before the first one.
        teams: the settings of all teams.
        seed: same seed, same forecast.
    """

    def __init__(
        self, document: Mapping[str, Any], teams: Mapping[str, TeamSettings], seed: int = 1
    ) -> None:
        self._teams = teams
        self._waiting = {_key(each): each for each in document.get("waiting", [])}
        self._census = Census.from_document(document.get("lines", {}))
        self._run_times = RunTimes.from_document(document.get("run_times", []))
        self._samples = sum(map(len, self._run_times.kinds.values()))
        self._courses: dict[Key, _Course] = {}
        if document:
            self._at = datetime.fromisoformat(document["at"])
            if self._samples and self._waiting:
                self._courses = self._played(document, random.Random(seed))  # noqa: S311

    def of(self, entry: Entry, now: datetime) -> Outlook:
        """A request's; one that is held, or waits for others, is in no line and has none.

        Args:
            entry: as the ledger has it.
            now: the estimate counts from here.
        """
        if entry.status is not Status.QUEUED or entry.held or entry.blocked:
            return Outlook()
        listed = self._waiting.get(entry.key)
        if listed:
            return self._at_place(entry.key, int(listed["position"]), True, now)
        line = self._census.lines.get(entry.team)
        if line is None or not len(line):
            return Outlook()
        place = min(line.before(entry.position) + 1, len(line))
        return self._at_place(entry.key, place, False, now)

    def of_listed(self, now: datetime) -> dict[Key, Outlook]:
        """Those of all requests that the document names."""
        return {
            key: self._at_place(key, int(each["position"]), True, now)
            for key, each in self._waiting.items()
        }

    def _at_place(self, key: Key, place: int, exact: bool, now: datetime) -> Outlook:
        line = self._census.lines.get(key[0])
        of_team = max(place, len(line) if line else 0)
        course = None if self._never(key) else self._course(key, place)
        if course is None:
            return Outlook(place=place, exact=exact, of_team=of_team)
        past = (now - self._at).total_seconds()
        starts = [max(0.0, start - past) for start in course.starts]
        return Outlook(
            place=place,
            exact=exact,
            of_team=of_team,
            overall=max(place, course.overall),
            starts_in=median(starts),
            earliest=starts[1],
            latest=starts[-2],
            run_times=self._samples,
        )

    def _course(self, key: Key, place: int) -> _Course | None:
        if key in self._courses:
            return self._courses[key]
        known = [each for each in self._courses if each[0] == key[0]]
        if not known:
            return None
        last = max(known, key=self._place)
        return self._courses[last].reckoned_on(place / self._place(last))

    def _place(self, key: Key) -> int:
        return int(self._waiting[key]["position"])

    def _never(self, key: Key) -> bool:
        """Not by anything that ends."""
        reason = str(self._waiting.get(key, {}).get("reason", ""))
        return HELD in reason or reason.endswith("never fits")

    def _played(self, document: Mapping[str, Any], draw: random.Random) -> dict[Key, _Course]:
        draws = [self._one_draw(document, draw) for _ in range(DRAWS)]
        everywhere = set(draws[0]).intersection(*draws[1:])
        starts = {key: sorted(each[key] for each in draws) for key in everywhere}
        medians = sorted((median(each), self._place(key), key) for key, each in starts.items())
        return {
            key: _Course(tuple(starts[key]), place)
            for place, (_, _, key) in enumerate(medians, start=1)
        }

    def _one_draw(self, document: Mapping[str, Any], draw: random.Random) -> dict[Key, float]:
        """Seconds until each request starts, as far as that is played through."""
        ends, holders = self._running(document["running"], draw)
        lines = self._lines(set(document.get("held_teams", [])))
        capacity = Capacity(
            tuning_jobs=document["tuning_jobs"]["limit"], instances=document.get("quotas", {})
        )
        fronts = fronts_from(document.get("fronts", []))
        starts: dict[Key, float] = {}
        seconds = 0.0
        for _ in range(MOST_ENDS):
            snapshot = Snapshot(
                now=self._at + timedelta(seconds=seconds),
                holders=list(holders.values()),
                lines={team: line[:LOOKED_AT] for team, line in lines.items()},
                fronts=fronts,
            )
            decided = plan(snapshot, capacity, self._teams)
            for head in decided.starts:
                starts[head.key] = seconds
                lines[head.team].remove(head)
                name = "/".join(head.key)
                holders[name] = _holder(name, head.team, head.demand.instances)
                end = seconds + self._run(_work(self._waiting[head.key]), 0.0, draw)
                heapq.heappush(ends, (end, name))
            fronts = {key: each for key, each in decided.fronts.items() if key not in starts}
            if not ends or not any(lines.values()):
                break
            seconds, name = heapq.heappop(ends)
            del holders[name]
        return starts

    def _running(
        self, running: Iterable[Mapping[str, Any]], draw: random.Random
    ) -> tuple[list[tuple[float, str]], dict[str, Holder]]:
        """When each ends, in seconds. What others started ends nobody knows when."""
        ends, holders = [], {}
        for number, each in enumerate(running):
            name = f"#{number}"
            holders[name] = _holder(name, each["team"], each["instances"])
            if "started_at" in each:
                began = datetime.fromisoformat(each["started_at"])
                elapsed = max(0.0, (self._at - began).total_seconds())
                ends.append((self._run(_work(each), elapsed, draw), name))
        heapq.heapify(ends)
        return ends, holders

    def _run(self, work: Work, elapsed: float, draw: random.Random) -> float:
        """Seconds it still runs."""
        left = [each - elapsed for each in self._run_times.of(work) if each > elapsed]
        return draw.choice(left) if left else elapsed * OUTLASTED

    def _lines(self, held_teams: set[str]) -> dict[str, list[Head]]:
        lines: dict[str, list[Head]] = {}
        for key, each in sorted(self._waiting.items(), key=lambda item: item[1]["position"]):
            if key[0] not in held_teams and not self._never(key):
                lines.setdefault(key[0], []).append(_head(each))
        return lines


def why(entry: Entry, capacity: Mapping[str, Any]) -> str:
    """Why a request waits, failed or was refused, in the dispatcher's words."""
    goes_on = bool(entry.earlier)  # then its own reason says so, besides what it waits for
    if entry.status is not Status.QUEUED or (entry.reason and not goes_on):
        return entry.reason
    if entry.held:
        return "held by its team; `hpoq release` lets it go on"
    if entry.blocked:
        return _parents(entry)
    if entry.team in capacity.get("held_teams", ()):
        return f"team {entry.team} is on hold; `hpoq release` lets it go on"
    for each in capacity.get("waiting", ()):
        if _key(each) == entry.key:
            return "; ".join(filter(None, [str(each["reason"]), entry.reason]))
    return entry.reason or UNSEEN


def _parents(entry: Entry) -> str:
    request = entry.request
    names = (*request.after, *request.warm_start_from) if request else ()
    return f"waits for {', '.join(dict.fromkeys(names)) or 'other requests'} to end"


def _key(each: Mapping[str, Any]) -> Key:
    return str(each["team"]), str(each["request_id"])


def _work(each: Mapping[str, Any]) -> Work:
    return Work(
        team=each["team"] or "", template=each.get("template", ""), rounds=each.get("rounds", 1)
    )


def _holder(name: str, team: str | None, instances: Mapping[str, int]) -> Holder:
    demand = Demand(tuning_jobs=1, instances=instances)
    return Holder(tuning_job_name=name, team=team, demand=demand)


def _head(each: Mapping[str, Any]) -> Head:
    return Head(
        team=each["team"],
        request_id=each["request_id"],
        priority=each.get("priority", 0),
        accepted_at=datetime.fromisoformat(each["accepted_at"]),
        demand=Demand(tuning_jobs=1, instances=each.get("instances", {})),
    )
