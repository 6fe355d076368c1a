"""The forecast of a queued request: position, wait reason and expected start. Pure.

The estimate continues from the ``capacity`` document: running jobs end after a run time of
similar jobs, drawn from the recent ones, and the dispatcher's own ``plan`` decides which request
starts then. This is repeated ``DRAWS`` times, and the median is the estimate. Requests that are
still to come, and the next month's budgets, are not foreseen: so real starts differ more from the
median than draws do. The range is as many times wider than the draws as it takes to hold 75 to 90 %
of the starts in most workloads of ``benchmarks/estimates.py``.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from hpo_dispatcher.contract.documents.capacity import (
    CapacityDocument,
    RunningTuningJob,
    WaitingRequest,
    WaitKind,
    WaitReason,
)
from hpo_dispatcher.contract.entry import Entry, Key, Status
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.history.queue_counts import QueueCounts
from hpo_dispatcher.scheduling.history.run_times import RunTimes, Work
from hpo_dispatcher.scheduling.history.usage import Used, updated
from hpo_dispatcher.scheduling.plan import plan
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Snapshot,
)

DRAWS = 9
# How many times farther from the median than the earliest and the latest draw the range reaches.
STRETCH = 2.5
# Ends of jobs in one draw; starts after the last of them are extrapolated from those before.
MOST_ENDS = 100
# Heads of each team in one plan: the requests that start next are among them.
LOOKED_AT = 25
# A job that has run longer than all similar jobs is expected to take this much longer again.
OUTLASTED = 0.1
# Of what teams have used, in the hours that a draw foresees; the dispatcher's is a setting.
HALF_LIFE = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The outlook of one queued request; None if something is unknown."""

    position: int | None = None  # in its team's queue, from 1
    exact: bool = True  # False: counted by the score, as far back as it is
    of_team: int = 0  # requests in that queue
    overall: int | None = None  # requests of all teams that start no later, itself included
    starts_in: float | None = None  # seconds, the median
    earliest: float | None = None  # seconds; the start of the range
    latest: float | None = None  # seconds; the end of the range
    run_times: int = 0  # ended tuning jobs that the estimate is based on


@dataclass(frozen=True)
class _Course:
    """The starts of one request in all draws, sorted; seconds after the document."""

    starts: tuple[float, ...]
    overall: int

    def extrapolated(self, factor: float) -> _Course:
        """Return the course of a request that is this many times as far back in the queue."""
        return _Course(
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
        self._run_times = RunTimes.from_published(document.run_times if document else ())
        self._believed = self._run_times  # in the present draw
        self._samples = sum(map(len, self._run_times.kinds.values()))
        self._usage = document.usage if document else {}
        self._courses: dict[Key, _Course] = {}
        if document:
            self._at = document.at
            if self._samples and self._waiting:
                self._courses = self._simulate(document, random.Random(seed))  # noqa: S311

    def of(self, entry: Entry, now: datetime) -> Outlook:
        """Return the outlook of a request; empty for one that is in no queue.

        Args:
            entry: as the ledger has it.
            now: the estimate counts from here.
        """
        if entry.status is not Status.QUEUED or entry.on_hold or entry.blocked:
            return Outlook()
        if self._teams and entry.team not in self._teams:
            return Outlook()
        listed = self._waiting.get(entry.key)
        if listed:
            if _refused(entry):  # after the document was written
                count = self._queue_counts.by_team.get(entry.team)
                of_team = max(listed.position, len(count) if count else 0)
                return Outlook(position=listed.position, exact=True, of_team=of_team)
            return self._outlook(entry.key, listed.position, True, now)
        count = self._queue_counts.by_team.get(entry.team)
        if count is None or not len(count):
            return Outlook()
        position = min(count.before(entry.queue_sort_key) + 1, len(count))
        return self._outlook(entry.key, position, False, now)

    def of_listed(self, now: datetime) -> dict[Key, Outlook]:
        """Return the outlooks of all requests that the document lists."""
        return {
            key: self._outlook(key, each.position, True, now) for key, each in self._waiting.items()
        }

    def _outlook(self, key: Key, position: int, exact: bool, now: datetime) -> Outlook:
        count = self._queue_counts.by_team.get(key[0])
        of_team = max(position, len(count) if count else 0)
        listed = self._waiting.get(key)
        stuck = listed is not None and not listed.reason_kind.starts_by_itself
        course = None if stuck else self._course(key, position)
        if course is None:
            return Outlook(position=position, exact=exact, of_team=of_team)
        past = (now - self._at).total_seconds()
        starts = [max(0.0, start - past) for start in course.starts]
        middle = median(starts)
        return Outlook(
            position=position,
            exact=exact,
            of_team=of_team,
            overall=max(position, course.overall),
            starts_in=middle,
            earliest=max(0.0, middle - STRETCH * (middle - starts[0])),
            latest=middle + STRETCH * (starts[-1] - middle),
            run_times=self._samples,
        )

    def _course(self, key: Key, position: int) -> _Course | None:
        if key in self._courses:
            return self._courses[key]
        known = [each for each in self._courses if each[0] == key[0]]
        if not known:
            return None
        last = max(known, key=self._position)
        return self._courses[last].extrapolated(position / self._position(last))

    def _position(self, key: Key) -> int:
        return self._waiting[key].position

    def _simulate(self, document: CapacityDocument, draw: random.Random) -> dict[Key, _Course]:
        draws = [self._one_draw(document, draw) for _ in range(DRAWS)]
        everywhere = set(draws[0]).intersection(*draws[1:])
        starts = {key: sorted(each[key] for each in draws) for key in everywhere}
        medians = sorted((median(each), self._position(key), key) for key, each in starts.items())
        return {
            key: _Course(tuple(starts[key]), rank)
            for rank, (_, _, key) in enumerate(medians, start=1)
        }

    def _one_draw(self, document: CapacityDocument, draw: random.Random) -> dict[Key, float]:
        """Return the seconds until each request starts, for those that start in the draw."""
        # A few run times say only so much: each draw believes in another sample of them.
        self._believed = self._run_times.resampled(draw)
        ends, running_jobs = self._running(document.running, draw)
        queues = self._queues(frozenset(document.teams_on_hold))
        capacity = _limits(document)
        timers = _timers(document)
        starts: dict[Key, float] = {}
        seconds = 0.0
        usage: Mapping[str, float] = self._usage
        for _ in range(MOST_ENDS):
            snapshot = Snapshot(
                now=self._at + timedelta(seconds=seconds),
                running_jobs=list(running_jobs.values()),
                queues={team: queue[:LOOKED_AT] for team, queue in queues.items()},
                reservation_timers=timers,
                usage=usage,
            )
            decided = plan(snapshot, capacity, self._teams)
            for head in decided.starts:
                starts[head.key] = seconds
                queues[head.team].remove(head)
                name = "/".join(head.key)
                work = _work(self._waiting[head.key])
                running_jobs[name] = RunningJob(
                    tuning_job_name=name,
                    team=head.team,
                    instances=head.instances,
                    expected_end=self._expected_end(work, self._at + timedelta(seconds=seconds)),
                )
                end = seconds + self._run(work, 0.0, draw)
                heapq.heappush(ends, (end, name))
            timers = {
                key: each for key, each in decided.reservation_timers.items() if key not in starts
            }
            if not ends or not any(queues.values()):
                break
            before = seconds
            seconds, name = heapq.heappop(ends)
            usage = _used_until(usage, running_jobs.values(), capacity, seconds - before)
            del running_jobs[name]
        return starts

    def _running(
        self, running: Iterable[RunningTuningJob], draw: random.Random
    ) -> tuple[list[tuple[float, str]], dict[str, RunningJob]]:
        """Return when each job ends, in seconds; the ends of other users' jobs are unknown."""
        ends: list[tuple[float, str]] = []
        running_jobs: dict[str, RunningJob] = {}
        for number, each in enumerate(running):
            name = f"#{number}"
            running_jobs[name] = RunningJob(
                tuning_job_name=name,
                team=each.team,
                instances=each.instances,
                expected_end=self._expected_end(_work(each), each.started_at),
            )
            if each.started_at:
                elapsed = max(0.0, (self._at - each.started_at).total_seconds())
                ends.append((self._run(_work(each), elapsed, draw), name))
        heapq.heapify(ends)
        return ends, running_jobs

    def _expected_end(self, work: Work, started_at: datetime | None) -> datetime | None:
        """Return the end that the dispatcher expects, which decides what is lent (ADR 0030)."""
        if started_at is None:
            return None
        elapsed = max(0.0, (self._at - started_at).total_seconds())
        seconds = self._run_times.expected_after(work, elapsed)
        return None if seconds is None else started_at + timedelta(seconds=seconds)

    def _run(self, work: Work, elapsed: float, draw: random.Random) -> float:
        """Return the seconds that a job will still run."""
        run_times = (self._believed.of(work), self._run_times.of(work))
        longer = ([each - elapsed for each in times if each > elapsed] for times in run_times)
        left = next(filter(None, longer), [])
        return draw.choice(left) if left else elapsed * OUTLASTED

    def _queues(self, teams_on_hold: frozenset[str]) -> dict[str, list[Head]]:
        queues: dict[str, list[Head]] = {}
        for each in sorted(self._waiting.values(), key=lambda waiting: waiting.position):
            if each.team not in teams_on_hold and each.reason_kind.starts_by_itself:
                expected = self._run_times.expected(_work(each))
                queues.setdefault(each.team, []).append(_head(each, expected))
        return queues


def removed_teams(document: CapacityDocument | None, teams: Collection[str]) -> dict[str, int]:
    """Return the teams that have queued requests and are not in the settings, with the counts."""
    queues = document.queues.items() if document else ()
    return {team: each.queued for team, each in sorted(queues) if each.queued and team not in teams}


def why_never(
    document: CapacityDocument,
    teams: Mapping[str, TeamSettings],
    team: str,
    instances: Mapping[str, int],
) -> str:
    """Return why a new request would not start even in an idle account; empty if it would.

    Args:
        document: the last capacity document.
        teams: the settings of all teams.
        team: of the request.
        instances: of each resource that the request needs at once.
    """
    head = Head(team=team, request_id="", priority=0, accepted_at=document.at, instances=instances)
    idle = Snapshot(now=document.at, running_jobs=(), queues={team: [head]})
    waits = plan(idle, _limits(document), teams).waits
    never = [wait.reason for wait in waits if wait.reason.kind is WaitKind.NEVER_FITS]
    return never[0].text if never else ""


def _limits(document: CapacityDocument) -> Capacity:
    return Capacity(tuning_jobs=document.tuning_jobs.limit or 0, instances=document.quotas)


def why_of(entry: Entry, capacity: CapacityDocument | None, teams: Collection[str]) -> str:
    """Return the text that says why a request waits, failed or was rejected.

    Args:
        entry: as the ledger has it.
        capacity: the last capacity document; None before the first cycle.
        teams: those of the settings.
    """
    if entry.status is Status.QUEUED and teams and entry.team not in teams:
        return wording.team_removed(entry.team)
    return why(entry, capacity)


def wait_reason(entry: Entry, capacity: CapacityDocument | None) -> WaitReason | None:
    """Return why a queued request waits; None if only its entry may have a reason."""
    queued = entry.status is Status.QUEUED
    if not queued or _refused(entry):
        return _next_attempt(entry, capacity) if queued else None
    if entry.on_hold:
        return WaitReason(kind=WaitKind.ON_HOLD, text=wording.on_hold_by_request())
    if entry.blocked:
        return WaitReason(kind=WaitKind.OTHER_REQUESTS, text=_parents(entry))
    if capacity and entry.team in capacity.teams_on_hold:
        return WaitReason(kind=WaitKind.ON_HOLD, text=wording.team_on_hold(entry.team))
    for each in capacity.waiting if capacity else ():
        if each.key == entry.key:
            text = wording.together([each.reason, entry.reason])
            return WaitReason(kind=each.reason_kind, text=text)
    return WaitReason(kind=WaitKind.UNKNOWN, text=entry.reason or wording.not_examined())


def _next_attempt(entry: Entry, capacity: CapacityDocument | None) -> WaitReason | None:
    """Return the reason of a refused request with the time of its next attempt, if it is known."""
    for each in capacity.waiting if capacity else ():
        if each.key == entry.key and not each.reason_kind.starts_by_itself:
            return each.wait_reason
    return None


def _refused(entry: Entry) -> bool:
    """Return whether SageMaker refused a queued request; a resumed one has another reason."""
    return bool(entry.reason) and not entry.earlier


def why(entry: Entry, capacity: CapacityDocument | None) -> str:
    """Return the text that says why a request waits, failed or was rejected."""
    reason = wait_reason(entry, capacity)
    return reason.text if reason else entry.reason


def _timers(document: CapacityDocument) -> dict[Key, ReservationTimer]:
    return {
        each.key: ReservationTimer(since=each.first_since, passed_at=each.passed_at)
        for each in document.waiting
        if each.first_since
    }


def _used_until(
    usage: Mapping[str, float], jobs: Iterable[RunningJob], capacity: Capacity, seconds: float
) -> Mapping[str, float]:
    """Return the usage after jobs have run for some seconds."""
    used = [Used(job.team, job.needs, seconds) for job in jobs if job.team]
    return updated(usage, used, capacity.limits, timedelta(seconds=seconds), HALF_LIFE)


def _parents(entry: Entry) -> str:
    request = entry.request
    return wording.waits_for_requests((*request.after, *request.warm_start_from) if request else ())


def _work(each: WaitingRequest | RunningTuningJob) -> Work:
    return Work(team=each.team or "", template=each.template, rounds=each.rounds)


def _head(each: WaitingRequest, expected_seconds: float | None) -> Head:
    return Head(
        team=each.team,
        request_id=each.request_id,
        priority=each.priority,
        accepted_at=each.accepted_at,
        instances=each.instances,
        expected_seconds=expected_seconds,
    )
