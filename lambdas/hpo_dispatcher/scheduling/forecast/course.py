"""One course of the next hours, as it is drawn from what the ``capacity`` document says. Pure.

Running jobs end after a run time of similar jobs, and the dispatcher's own ``plan`` decides which
request starts then. Requests arrive as often as lately. Each course draws independent run times,
from another sample of the recent ones: a few run times say only so much.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from hpo_dispatcher.contract.documents.capacity import (
    CapacityDocument,
    RecentArrival,
    RunningTuningJob,
    WaitingRequest,
)
from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.forecast.arrivals import Arrivals
from hpo_dispatcher.scheduling.forecast.durations import Durations
from hpo_dispatcher.scheduling.forecast.future import Future, RunTimeFacts
from hpo_dispatcher.scheduling.history.run_times import RunTimes, Work
from hpo_dispatcher.scheduling.history.usage import Used, updated
from hpo_dispatcher.scheduling.plan import plan
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Shape,
    Snapshot,
    needs,
)

# Moments in one course; starts after the last of them are extrapolated from those before.
MOST_MOMENTS = 600
# Heads of each team and shape in one plan: the requests that start next are among them.
LOOKED_AT = 25
# Of what teams have used, in the hours that a course foresees; the dispatcher's is a setting.
HALF_LIFE = timedelta(hours=24)


class Course:
    """The courses that start from one document.

    Args:
        document: as the last cycle wrote it.
        teams: the settings of all teams.
    """

    def __init__(self, document: CapacityDocument, teams: Mapping[str, TeamSettings]) -> None:
        self._document = document
        self._teams = teams
        self._capacity = Capacity.of(document)
        self.run_times = RunTimes.from_published(document.run_times)
        self._arrivals = Arrivals.of(document)
        self._queued = tuple(self._waiting())
        self._positions = {each.key: each.position for each in document.waiting}

    def position(self, key: Key) -> int:
        """Return the position of a listed request in its team's queue."""
        return self._positions[key]

    def draw(self, draw: random.Random) -> DrawnCourse:
        """Draw one course."""
        situation = self._beginning(draw)
        listed = {each.head.key for each in self._queued}
        starts: dict[Key, float] = {}
        plans = 0
        for _ in range(MOST_MOMENTS):
            plans += situation.changed
            for head in self._start(situation) if situation.changed else ():
                if head.key in listed:
                    starts[head.key] = situation.seconds
            if len(starts) == len(listed) or not situation.pass_to_next(self._capacity):
                break
        return DrawnCourse(starts=starts, seconds=situation.seconds, plans=plans)

    def future(self, draw: random.Random) -> Future:
        """Return what one course draws run times and arrivals from: recent ones."""
        at, running = self._document.at, self._document.running
        started = [(each, _elapsed(each.started_at, at)) for each in running if each.started_at]
        return Future(Durations(self.run_times, started, draw), self._arrivals)

    def _beginning(self, draw: random.Random) -> _Situation:
        document, future = self._document, self.future(draw)
        situation = _Situation(
            began=document.at,
            draw=draw,
            future=future,
            run_times=self.run_times,
            usage=document.usage,
            timers=_timers(document),
            next_arrival=future.arrivals.wait(draw),
            among=sum(each.started_at is not None for each in document.running),
        )
        for each in self._queued:
            situation.join(each)
        for number, job in enumerate(document.running):
            situation.run_already(f"#{number}", job)
        return situation

    def _start(self, situation: _Situation) -> Iterable[Head]:
        """Start what the dispatcher would start."""
        snapshot = Snapshot(
            now=situation.now,
            running_jobs=list(situation.running_jobs.values()),
            queues={team: _first_of_shapes(queue) for team, queue in situation.queues.items()},
            reservation_timers=situation.timers,
            usage=situation.usage,
        )
        decided = plan(snapshot, self._capacity, self._teams, starts_only=True)
        for head in decided.starts:
            situation.start(head)
        started = {head.key for head in decided.starts}
        situation.timers = {
            key: each for key, each in decided.reservation_timers.items() if key not in started
        }
        return decided.starts

    def _waiting(self) -> Iterator[_Queued]:
        on_hold = frozenset(self._document.teams_on_hold)
        for each in sorted(self._document.waiting, key=lambda waiting: waiting.position):
            if each.team not in on_hold and each.reason_kind.starts_by_itself:
                yield _queued(each, each.request_id, each.accepted_at, self.run_times)


class DrawnCourse(NamedTuple):
    """One course of the next hours."""

    starts: Mapping[Key, float]  # seconds until each request starts that starts in it
    seconds: float  # until it ends; the other requests start later
    plans: int  # made for it


class _Queued(NamedTuple):
    """A queued request, and what its run time depends on."""

    head: Head
    work: Work
    known: RunTimeFacts


@dataclass(kw_only=True)
class _Situation:
    """The account and the queues at a time of one course; changes as time passes."""

    began: datetime  # when the course begins
    draw: random.Random
    future: Future
    run_times: RunTimes  # of tuning jobs that have ended: the dispatcher plans with them
    usage: Mapping[str, float]
    timers: dict[Key, ReservationTimer]
    next_arrival: float | None  # seconds
    seconds: float = 0.0  # since the course began
    changed: bool = True  # False: since the last plan, only requests like waiting ones arrived
    arrived: int = 0
    among: int = 1  # running jobs at the beginning
    queues: dict[str, list[Head]] = field(default_factory=dict)
    known: dict[Key, _Queued] = field(default_factory=dict)
    alike: Counter[Hashable] = field(default_factory=Counter)  # the queued requests of each sort
    running_jobs: dict[str, RunningJob] = field(default_factory=dict)
    ends: list[tuple[float, str]] = field(default_factory=list)  # a heap

    @property
    def now(self) -> datetime:
        """The time."""
        return self.began + timedelta(seconds=self.seconds)

    def run_already(self, name: str, job: RunningTuningJob) -> None:
        """Enter a job that runs at the beginning; the ends of other users' jobs are unknown."""
        expected_end = None
        if job.started_at:
            work, elapsed, known = _work(job), _elapsed(job.started_at, self.began), _known(job)
            seconds = self.run_times.expected_after(work, elapsed, *known, self.among)
            expected_end = None if seconds is None else job.started_at + timedelta(seconds=seconds)
            left = self.future.run_times.left(work, known, elapsed)
            heapq.heappush(self.ends, (left, name))
        self.running_jobs[name] = RunningJob(
            tuning_job_name=name,
            team=job.team,
            instances=job.instances,
            target=job.target,
            started_at=job.started_at,
            expected_end=expected_end,
        )

    def join(self, queued: _Queued) -> None:
        """Put a request into its team's queue, behind those of its priority."""
        self.known[queued.head.key] = queued
        self.alike[_sort(queued.head)] += 1
        queue = self.queues.setdefault(queued.head.team, [])
        priority = queued.head.priority
        place = len(queue)
        while place and queue[place - 1].priority < priority:
            place -= 1
        queue.insert(place, queued.head)

    def start(self, head: Head) -> None:
        """Start a request."""
        queued = self.known.pop(head.key)
        self.alike[_sort(queued.head)] -= 1
        self.queues[head.team].remove(queued.head)
        name = "/".join(head.key)
        seconds = self.run_times.expected_after(queued.work, 0.0, *queued.known, self.among)
        self.running_jobs[name] = RunningJob(
            tuning_job_name=name,
            team=head.team,
            instances=head.instances,
            target=head.target,
            started_at=self.now,
            expected_end=None if seconds is None else self.now + timedelta(seconds=seconds),
        )
        run_time = self.future.run_times.left(queued.work, queued.known)
        heapq.heappush(self.ends, (self.seconds + run_time, name))

    def pass_to_next(self, capacity: Capacity) -> bool:
        """Go on to the next end or arrival; return whether there is one."""
        arrival = self.next_arrival
        if not self.ends and arrival is None:
            return False
        before = self.seconds
        if self.ends and (arrival is None or self.ends[0][0] <= arrival):
            self.seconds, name = heapq.heappop(self.ends)
            self._use(capacity, self.seconds - before)
            del self.running_jobs[name]
            self.changed = True
        elif arrival is not None:
            self.seconds = arrival
            self._use(capacity, self.seconds - before)
            self._arrive()
        return True

    def _arrive(self) -> None:
        self.changed = False
        for each in self.future.arrivals.batch(self.draw):
            self.arrived += 1
            queued = _queued(each, f"+{self.arrived}", self.now, self.run_times)
            self.changed = self.changed or not self.alike[_sort(queued.head)]
            self.join(queued)
        wait = self.future.arrivals.wait(self.draw)
        self.next_arrival = None if wait is None else self.seconds + wait

    def _use(self, capacity: Capacity, seconds: float) -> None:
        """Enter what teams have used for some seconds."""
        jobs = self.running_jobs.values()
        used = [Used(job.team, needs(job.instances), seconds) for job in jobs if job.team]
        interval = timedelta(seconds=seconds)
        self.usage = updated(self.usage, used, capacity.over_targets, interval, HALF_LIFE)


def _queued(
    each: WaitingRequest | RecentArrival, request_id: str, at: datetime, run_times: RunTimes
) -> _Queued:
    work = Work(team=each.team, template=each.template, rounds=each.rounds)
    head = Head(
        team=each.team,
        request_id=request_id,
        priority=each.priority,
        accepted_at=at,
        instances=each.instances,
        expected_seconds=run_times.expected(work, *_known(each)),
        targets=each.targets,
    )
    return _Queued(head=head, work=work, known=_known(each))


def _sort(head: Head) -> Hashable:
    """Return what decides whether a request starts, its place in the queue excepted."""
    return head.team, head.shape, head.priority, head.expected_seconds, head.targets


def _first_of_shapes(queue: Sequence[Head]) -> list[Head]:
    """Return the first requests of each shape, in their order."""
    seen: Counter[Shape] = Counter()
    found: list[Head] = []
    for head in queue:
        seen[head.shape] += 1
        if seen[head.shape] <= LOOKED_AT:
            found.append(head)
    return found


def _timers(document: CapacityDocument) -> dict[Key, ReservationTimer]:
    return {
        each.key: ReservationTimer(
            since=each.first_since,
            passed_at=each.passed_at,
            reserved_at=each.reserved_at,
            promised_at=each.promised_at,
        )
        for each in document.waiting
        if each.first_since
    }


def _elapsed(started_at: datetime, at: datetime) -> float:
    return max(0.0, (at - started_at).total_seconds())


def _known(each: WaitingRequest | RecentArrival | RunningTuningJob) -> RunTimeFacts:
    return RunTimeFacts(stated=each.expected_seconds, most=each.most_seconds)


def _work(job: RunningTuningJob) -> Work:
    return Work(team=job.team or "", template=job.template, rounds=job.rounds)
