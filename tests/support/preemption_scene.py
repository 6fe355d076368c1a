"""Running jobs that can be stopped, and plans that may stop them."""

from __future__ import annotations

from typing import Any

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.plan import Plan, plan
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Snapshot,
)
from tests.support.scheduling_scene import NOON, ago

OWNER = {"guaranteed_share": 0.5}
BORROWER = {"preemptible": True}


def job(
    team: str | None,
    request_id: str,
    minutes_ago: float = 10,
    instances: dict[str, int] | None = None,
    **fields: Any,
) -> RunningJob:
    """A tuning job of ours that could go on after a stop."""
    defaults: dict[str, Any] = {"resume_blocker": ""}
    return RunningJob(
        tuning_job_name=f"{team}-{request_id}",
        team=team,
        request_id=request_id,
        started_at=ago(minutes_ago),
        instances=instances or {},
        **(defaults | fields),
    )


def decide(
    *heads: Head,
    running: list[RunningJob],
    slots: int = 100,
    instances: dict[str, int] | None = None,
    promised: frozenset[tuple[str, str]] = frozenset(),
    timers: dict[tuple[str, str], ReservationTimer] | None = None,
    **teams: dict[str, Any],
) -> Plan:
    queues: dict[str, list[Head]] = {}
    for head in sorted(heads, key=lambda head: (-head.priority, head.accepted_at)):
        queues.setdefault(head.team, []).append(head)
    snapshot = Snapshot(
        now=NOON,
        running_jobs=running,
        queues=queues,
        promised=promised,
        reservation_timers=timers or {},
    )
    capacity = Capacity(tuning_jobs=slots, instances=instances or {})
    return plan(snapshot, capacity, {t: TeamSettings(**fields) for t, fields in teams.items()})


def stopped(decided: Plan) -> list[tuple[str, str]]:
    """(request that is stopped, request it makes room for)."""
    return [(stop.job.request_id, stop.head.request_id) for stop in decided.stops]


def jobs(team: str, count: int, **fields: Any) -> list[RunningJob]:
    """The first is the oldest."""
    return [job(team, f"{team[0]}{n}", count - n, **fields) for n in range(count)]
