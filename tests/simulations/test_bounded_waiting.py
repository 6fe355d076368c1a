"""The bound on waiting holds on random workloads in which somebody always wants to pass.

With T teams and jobs that run for L at most, and as long as nobody else's jobs come and limits
stay: the first of a queue starts RESERVE_AFTER + T x L after it was first passed, and
RESERVE_AT_LAST + T x L after it came to the front.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.plan import RESERVE_AFTER, RESERVE_AT_LAST, plan
from hpo_dispatcher.scheduling.snapshot import (
    SLOTS,
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Snapshot,
)
from tests.support.scheduling_scene import M5, NOON, teams_of

LONGEST = timedelta(minutes=20)
STEP = timedelta(minutes=5)
TEAMS = ("a", "b", "c")
LIMITS = Capacity(tuning_jobs=6, instances={M5: 12})


@dataclass
class Arrivals:
    """A team that asks again as soon as it can: there is always somebody to pass."""

    team: str
    draw: random.Random
    heads: list[Head] = field(default_factory=list)
    count: int = 0

    def fill(self, now: datetime) -> None:
        while len(self.heads) < 4:
            self.count += 1
            size = self.draw.choice([1, 1, 2, 3, 9, 12])
            self.heads.append(
                Head(
                    team=self.team,
                    request_id=f"{self.count}",
                    priority=0,
                    accepted_at=now,
                    instances={M5: size},
                )
            )


def history(seed: int, teams: dict[str, dict[str, Any]], hours: float) -> Iterator[_Moment]:
    draw = random.Random(seed)
    queues = [Arrivals(team, draw) for team in TEAMS]
    known = {team: TeamSettings(**fields) for team, fields in teams.items()}
    running: list[tuple[datetime, RunningJob]] = []
    timers: dict[tuple[str, str], ReservationTimer] = {}
    for step in range(int(timedelta(hours=hours) / STEP)):
        now = NOON + step * STEP
        running = [(end, job) for end, job in running if end > now]
        for queue in queues:
            queue.fill(now)
        snapshot = Snapshot(
            now=now,
            running_jobs=[job for _, job in running],
            queues={queue.team: queue.heads for queue in queues},
            reservation_timers=timers,
        )
        decided = plan(snapshot, LIMITS, known)
        begun = {head.key for head in decided.starts}
        yield _Moment(now, snapshot, [timers.get(head.key) for head in decided.starts], known)
        for queue in queues:
            queue.heads = [head for head in queue.heads if head.key not in begun]
        for head in decided.starts:
            job = RunningJob(
                tuning_job_name="/".join(head.key), team=head.team, instances=head.instances
            )
            running.append((now + draw.randint(1, 4) * STEP, job))
        timers = {
            key: front for key, front in decided.reservation_timers.items() if key not in begun
        }
        used = Counter[str]()
        for _, job in running:
            for resource, amount in job.needs.items():
                used[resource] += amount
        assert all(used[each] <= limit for each, limit in LIMITS.limits.items())


@dataclass(frozen=True)
class _Moment:
    now: datetime
    snapshot: Snapshot
    of_started: list[ReservationTimer | None]
    teams: dict[str, TeamSettings]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), teams_of)
@example(0, {"a": {}, "b": {"guaranteed_share": 0.33, "lend": 0.0}, "c": {}})
def test_the_first_of_a_line_starts_within_the_stated_bound(
    seed: int, teams: dict[str, dict[str, Any]]
) -> None:
    patience = len(TEAMS) * (LONGEST + STEP)  # a cycle sees an end one step late at most
    possible = _largest(teams)
    for moment in history(seed, teams, hours=27):
        for queue in moment.snapshot.queues.values():
            head = queue[0]
            front = moment.snapshot.reservation_timers.get(head.key)
            if front is None or head.instances[M5] > possible[head.team]:
                continue
            if front.passed_at:
                assert moment.now - front.passed_at <= RESERVE_AFTER + patience
            assert moment.now - front.since <= RESERVE_AT_LAST + patience


def _largest(teams: dict[str, dict[str, Any]]) -> dict[str, int]:
    """The largest request of each team that its ceiling and what others lend leave possible."""
    known = {team: TeamSettings(**fields) for team, fields in teams.items()}
    return {team: _most(team, M5, known) if _most(team, SLOTS, known) else 0 for team in known}


def _most(team: str, resource: str, known: dict[str, TeamSettings]) -> int:
    limit = LIMITS.limits[resource]
    unlent = [
        int((each.guaranteed_share - each.lends) * limit + 1e-9)
        for other, each in known.items()
        if other != team
    ]
    return min(int(known[team].most * limit + 1e-9), limit - sum(unlent))
