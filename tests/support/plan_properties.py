"""Properties of every plan, and random snapshots to check them on.

A property returns what is wrong with a plan, or an empty text. The snapshots come from a plain
random generator: it makes a hundred thousand in a minute, which Hypothesis does not.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.plan import RESERVE_AFTER, Plan
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Snapshot,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TYPES = ("ml.m5.xlarge", "ml.g5.xlarge")
TEAMS = ("a", "b", "c")
# A scene has at most nine jobs and 21 requests, each of which can be stopped for few others.
MOST_CYCLES_WITH_STOPS = 30

Planner = Callable[[Snapshot, Capacity, Mapping[str, TeamSettings]], Plan]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a plan is made from."""

    snapshot: Snapshot
    capacity: Capacity
    teams: Mapping[str, TeamSettings]

    def planned_by(self, planner: Planner) -> Plan:
        """Return the plan of this scene."""
        return planner(self.snapshot, self.capacity, self.teams)

    def left(self, decided: Plan) -> Counter[str]:
        """Return what is left of each limited resource after the starts."""
        left = Counter(self.capacity.limits)
        for each in self._users(decided):
            left.subtract({r: n for r, n in each.needs.items() if r in left})
        return left

    def used_by(self, team: str, decided: Plan | None = None) -> Counter[str]:
        """Return what a team uses, its starts included if a plan is given."""
        used = Counter[str]()
        for each in self._users(decided):
            if each.team == team:
                used.update(each.needs)
        return used

    def _users(self, decided: Plan | None) -> Iterator[RunningJob | Head]:
        yield from self.snapshot.running_jobs
        yield from decided.starts if decided else ()


Property = Callable[[Scene, Plan], str]


def plain_scene(seed: int) -> Scene:
    """Return a random scene without guarantees, ceilings and reservations."""
    return _scene(random.Random(seed), dict.fromkeys(TEAMS, TeamSettings()), reserved=False)


def scene(seed: int) -> Scene:
    """Return a random scene in which teams have settings, and some reservations are due."""
    draw = random.Random(seed)
    teams = {
        team: TeamSettings(
            weight=draw.choice((0.5, 1.0, 3.0)),
            guaranteed_share=draw.choice((0.0, 0.0, 0.25, 0.33)),
            ceiling=draw.choice((0.5, 0.75, 1.0)),
            preemptible=draw.random() < 0.5,
        )
        for team in TEAMS
    }
    return _scene(draw, teams, reserved=True)


def _scene(draw: random.Random, teams: Mapping[str, TeamSettings], *, reserved: bool) -> Scene:
    slots = draw.randint(1, 14)
    instances = {name: draw.randint(0, 20) for name in TYPES if draw.random() < 0.9}
    capacity = Capacity(tuning_jobs=slots, instances=instances)
    queues: dict[str, list[Head]] = {}
    for team in TEAMS:
        heads = [_head(draw, team, number) for number in range(draw.randint(0, 7))]
        if heads:
            queues[team] = sorted(heads, key=lambda head: (-head.priority, head.accepted_at))
    timers = {
        queue[0].key: ReservationTimer(
            since=NOON - timedelta(minutes=draw.randint(0, 2_000)),
            passed_at=NOON - timedelta(minutes=draw.randint(0, 60)),
        )
        for queue in queues.values()
        if reserved and draw.random() < 0.5
    }
    snapshot = Snapshot(
        now=NOON,
        running_jobs=_running_jobs(draw, capacity),
        queues=queues,
        reservation_timers=timers,
    )
    return Scene(snapshot=snapshot, capacity=capacity, teams=teams)


def _head(draw: random.Random, team: str, number: int) -> Head:
    return Head(
        team=team,
        request_id=f"h{number}",
        priority=draw.choice((0, 0, 0, 1)),
        accepted_at=NOON - timedelta(minutes=draw.randint(0, 600)),
        instances=_instances(draw),
        expected_seconds=draw.choice((None, draw.randint(60, 9_000))),
    )


def _instances(draw: random.Random) -> dict[str, int]:
    return {draw.choice(TYPES): draw.choice((1, 1, 2, 4, 8))}


def _running_jobs(draw: random.Random, capacity: Capacity) -> list[RunningJob]:
    """Return jobs within the limits."""
    left = dict(capacity.limits)
    jobs: list[RunningJob] = []
    for number in range(draw.randint(0, 9)):
        instances = _instances(draw)
        team = draw.choice((*TEAMS, *TEAMS, None))
        ends = NOON + timedelta(seconds=draw.randint(60, 9_000))
        job = RunningJob(
            tuning_job_name=f"j{number}",
            team=team,
            request_id=f"j{number}" if team else "",
            instances=instances,
            started_at=NOON - timedelta(minutes=draw.randint(0, 300)),
            expected_end=draw.choice((None, ends)) if team else None,
            resume_blocker=draw.choice(("", "Grid")),
        )
        if all(n <= left[r] for r, n in job.needs.items() if r in left):
            for r in job.needs.keys() & left.keys():
                left[r] -= job.needs[r]
            jobs.append(job)
    return jobs


def conservation(scene: Scene, decided: Plan) -> str:
    """Each queued request starts or waits, once."""
    queued = sorted(head.key for queue in scene.snapshot.queues.values() for head in queue)
    answered = sorted([*(h.key for h in decided.starts), *(w.head.key for w in decided.waits)])
    return "" if queued == answered else f"queued {queued}, answered {answered}"


def limits_hold(scene: Scene, decided: Plan) -> str:
    """No start passes a limit."""
    left = scene.left(decided)
    over = [r for head in decided.starts for r in head.needs if r in left and left[r] < 0]
    return f"beyond the limits of {over}" if over else ""


def ceilings_hold(scene: Scene, decided: Plan) -> str:
    """No start passes the ceiling of its team."""
    for head in decided.starts:
        used = scene.used_by(head.team, decided)
        ceiling = scene.teams[head.team].ceiling
        for r in head.needs.keys() & scene.capacity.limits.keys():
            if used[r] > ceiling * scene.capacity.limits[r] + 1e-9:
                return f"{head.team} uses {used[r]} of {r}"
    return ""


def nothing_idles(scene: Scene, decided: Plan) -> str:
    """No request waits that fits; for scenes without reservations, ceilings and guarantees."""
    left = scene.left(decided)
    for wait in decided.waits:
        if all(n <= left[r] for r, n in wait.head.needs.items() if r in left):
            return f"{wait.head.key} fits into {dict(left)}"
    return ""


def guarantees_come_first(scene: Scene, decided: Plan) -> str:
    """No request beyond a guarantee starts in place of a first request within one.

    A request with a reservation may, because it has waited for too long.
    """
    limits = scene.capacity.limits
    for queue in scene.snapshot.queues.values():
        first = queue[0]
        owed = scene.teams[first.team].guaranteed_share
        used = scene.used_by(first.team, decided)
        waits = first.key not in {head.key for head in decided.starts}
        if not waits or not all(
            used[r] + n <= owed * limits[r] + 1e-9 for r, n in first.needs.items() if r in limits
        ):
            continue
        left = scene.left(decided)
        for head in decided.starts:
            if head.team == first.team or head.key in scene.snapshot.reservation_timers:
                continue
            if scene.teams[head.team].guaranteed_share or head.expected_seconds:
                continue  # within its own guarantee, or it ends in time
            if all(
                n <= left[r] + head.needs.get(r, 0) for r, n in first.needs.items() if r in left
            ):
                return f"{head.key} started in place of {first.key}"
    return ""


def order_holds(scene: Scene, decided: Plan) -> str:
    """Of equal requests of a team, the first in its queue starts first."""
    begun = {head.key for head in decided.starts}
    for queue in scene.snapshot.queues.values():
        waiting: set[object] = set()
        for head in queue:
            alike = head.shape, head.expected_seconds
            if head.key not in begun:
                waiting.add(alike)
            elif alike in waiting:
                return f"{head.key} passed an equal request"
    return ""


def reasons_are_true(scene: Scene, decided: Plan) -> str:
    """The numbers in the reasons are those of the account, and what they name is too little."""
    limits, left = scene.capacity.limits, scene.left(decided)
    for head, reason in decided.waits:
        fits = all(n <= left[r] for r, n in head.needs.items() if r in left)
        if reason.kind is WaitKind.NEXT_IN_QUEUE:
            return f"{head.key} waits without a reason"
        for resource, used, limit, needed in re.findall(
            r"(tuning jobs|ml\.[\w.]+) (\d+)/(\d+) in use, (\d+) needed", reason.text
        ):
            stated = int(used), int(limit), int(needed)
            true = limits[resource] - left[resource], limits[resource], head.needs[resource]
            if stated != true:
                return f"{head.key}: {reason.text}, but {resource} is {true}"
        if fits and reason.kind is WaitKind.NEVER_FITS:
            most = scene.teams[head.team].ceiling
            if all(n <= most * limits[r] for r, n in head.needs.items() if r in limits):
                return f"{head.key} fits, but {reason.text}"
    return ""


def stops_help(scene: Scene, decided: Plan) -> str:
    """Stopped jobs are stopped once, may be stopped, and make the requests fit."""
    stopped = {stop.job.tuning_job_name: stop for stop in decided.stops}
    if len(stopped) < len(decided.stops):
        return "a job is stopped twice"
    left = scene.left(decided)
    for stop in decided.stops:
        if stop.job.team is None or not scene.teams[stop.job.team].preemptible:
            return f"{stop.job.tuning_job_name} may not be stopped"
        if stop.job.resume_blocker:
            return f"{stop.job.tuning_job_name} could not resume"
        left.update({r: n for r, n in stop.job.needs.items() if r in left})
    for head in {stop.head.key: stop.head for stop in decided.stops}.values():
        left.subtract({r: n for r, n in head.needs.items() if r in left})
    negative = [r for stop in decided.stops for r in stop.head.needs if r in left and left[r] < 0]
    return f"too little of {negative} is freed" if negative else ""


def preemption_settles(planner: Planner, seed: int) -> str:
    """Jobs are stopped for a request once, it starts in their place, and stops come to an end.

    Nothing ends by itself and nothing arrives. Stopped jobs join their queues again, and may be
    stopped again at once: what is left to prevent a loop are the rules.
    """
    at = scene(seed)
    capacity, snapshot = at.capacity, at.snapshot
    for _ in range(MOST_CYCLES_WITH_STOPS):
        decided = planner(snapshot, capacity, at.teams)
        started = {head.key for head in decided.starts}
        if late := snapshot.promised - started:
            return f"{sorted(late)} did not start when the jobs stopped for it had ended"
        if not decided.stops:
            return ""
        snapshot = _after_stops(snapshot, decided)
    return f"jobs are still stopped after {MOST_CYCLES_WITH_STOPS} cycles"


def no_stop_is_in_vain(planner: Planner, seed: int) -> str:
    """Without any one of the stops for it, the request does not start.

    Only the last request with stops is looked at: what is stopped for it may also be enough for the
    requests before it. It states no run time, so it does not borrow reserved capacity.
    """
    at = without_run_times(scene(seed))
    decided = at.planned_by(planner)
    for stop in decided.stops:
        if stop.head != decided.stops[-1].head:
            continue
        others = tuple(each for each in decided.stops if each is not stop)
        later = _after_stops(at.snapshot, replace(decided, stops=others))
        snapshot = replace(later, promised=frozenset())  # nothing is kept for it out of turn
        if stop.head.key in {head.key for head in planner(snapshot, at.capacity, at.teams).starts}:
            return f"{stop.head.key} starts without the stop of {stop.job.tuning_job_name}"
    return ""


def without_run_times(scene: Scene) -> Scene:
    """Return a scene in which no request states how long it will run."""
    queues = {
        team: [replace(head, expected_seconds=None) for head in queue]
        for team, queue in scene.snapshot.queues.items()
    }
    return replace(scene, snapshot=replace(scene.snapshot, queues=queues))


def _after_stops(snapshot: Snapshot, decided: Plan) -> Snapshot:
    """Return the snapshot of the next cycle: starts run, and stopped jobs are queued again."""
    stopped = {stop.job.tuning_job_name: stop.job for stop in decided.stops}
    running = [job for job in snapshot.running_jobs if job.tuning_job_name not in stopped]
    running += [
        RunningJob(
            tuning_job_name="/".join(head.key),
            team=head.team,
            request_id=head.request_id,
            instances=head.instances,
            priority=head.priority,
            started_at=snapshot.now,
            resume_blocker="",
        )
        for head in decided.starts
    ]
    heads = [wait.head for wait in decided.waits]
    heads += [
        Head(
            team=job.team or "",
            request_id=job.request_id,
            priority=job.priority,
            accepted_at=NOON - timedelta(days=2),
            instances=job.instances,
        )
        for job in stopped.values()
    ]
    heads.sort(key=lambda head: (-head.priority, head.accepted_at))
    return replace(
        snapshot,
        running_jobs=running,
        queues={team: [h for h in heads if h.team == team] for team in {h.team for h in heads}},
        promised=frozenset(stop.head.key for stop in decided.stops),
    )


def waits_are_bounded(planner: Planner, seed: int) -> str:
    """A request for all instances starts in time, however many small ones arrive (ADR 0010)."""
    draw = random.Random(seed)
    capacity, step = Capacity(tuning_jobs=9, instances={TYPES[0]: 6}), timedelta(minutes=5)
    longest = 4 * step
    big = _of(draw.choice(TEAMS), "big", {TYPES[0]: 6}, NOON)
    timers: Mapping[tuple[str, str], ReservationTimer] = {}
    running: list[tuple[datetime, RunningJob]] = []
    for cycle in range(60):
        now = NOON + cycle * step
        running = [(end, job) for end, job in running if end > now]
        queues = {
            team: [*([big] if big.team == team else []), *_small(draw, team, cycle, now)]
            for team in TEAMS
        }
        snapshot = Snapshot(
            now=now,
            running_jobs=[job for _, job in running],
            queues=queues,
            reservation_timers=timers,
        )
        decided = planner(snapshot, capacity, {})
        begun = {head.key for head in decided.starts}
        if big.key in begun:
            return ""
        for head in decided.starts:
            job = RunningJob(
                tuning_job_name="/".join(head.key), team=head.team, instances=head.instances
            )
            running.append((now + draw.randint(1, 4) * step, job))
        timers = {key: each for key, each in decided.reservation_timers.items() if key not in begun}
        passed_at = timers[big.key].passed_at if big.key in timers else None
        since = passed_at or NOON
        if now - since > RESERVE_AFTER + len(TEAMS) * (longest + step):
            break
    return f"{big.key} still waits after {cycle * step}"


def _small(draw: random.Random, team: str, cycle: int, now: datetime) -> Iterable[Head]:
    return [
        _of(team, f"s{cycle}-{n}", {TYPES[0]: draw.randint(1, 2)}, now + timedelta(seconds=n))
        for n in range(4)
    ]


def _of(team: str, request_id: str, instances: dict[str, int], at: datetime) -> Head:
    return Head(team=team, request_id=request_id, priority=0, accepted_at=at, instances=instances)
