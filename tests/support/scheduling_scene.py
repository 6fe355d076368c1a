"""Snapshots, plans and Hypothesis strategies for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.plan import Plan, plan
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Snapshot,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
M5 = "ml.m5.xlarge"
G5 = "ml.g5.xlarge"


def ago(minutes: float) -> datetime:
    return NOON - timedelta(minutes=minutes)


def running(
    team: str | None, count: int = 1, instances: dict[str, int] | None = None, **fields: Any
) -> list[RunningJob]:
    return [
        RunningJob(
            tuning_job_name=f"{team}-{index}", team=team, instances=instances or {}, **fields
        )
        for index in range(count)
    ]


def queued(
    team: str,
    request_id: str = "r",
    minutes_ago: float = 0,
    instances: dict[str, int] | None = None,
    priority: int = 0,
) -> Head:
    return Head(
        team=team,
        request_id=request_id,
        priority=priority,
        accepted_at=ago(minutes_ago),
        instances=instances or {},
    )


def decide(
    *heads: Head,
    running: list[RunningJob] | None = None,
    slots: int = 100,
    instances: dict[str, int] | None = None,
    timers: dict[tuple[str, str], ReservationTimer] | None = None,
    **teams: dict[str, Any],
) -> Plan:
    queues: dict[str, list[Head]] = {}
    for head in heads:
        queues.setdefault(head.team, []).append(head)
    capacity = Capacity(tuning_jobs=slots, instances=instances or {})
    settings = {team: TeamSettings(**fields) for team, fields in teams.items()}
    snapshot = Snapshot(
        now=NOON,
        running_jobs=running or [],
        queues=queues,
        reservation_timers=timers or {},
    )
    return plan(snapshot, capacity, settings)


def started(decided: Plan) -> list[tuple[str, str]]:
    return [(head.team, head.request_id) for head in decided.starts]


def reason(decided: Plan, request_id: str) -> str:
    (wait,) = [wait for wait in decided.waits if wait.head.request_id == request_id]
    return wait.reason.text


# Drawing plain values and making heads of them afterwards takes half as long.
heads_of = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 120),
        st.dictionaries(st.sampled_from([M5, G5]), st.integers(1, 8)),
    ),
    max_size=40,
).map(
    lambda drawn: [
        queued(team, f"r{number}", minutes_ago, instances)
        for number, (team, minutes_ago, instances) in enumerate(drawn)
    ]
)
running_jobs_of = st.lists(
    st.builds(
        lambda team, n, used: RunningJob(tuning_job_name=f"j{n}", team=team, instances=used),
        team=st.sampled_from(["a", "b", None]),
        n=st.integers(0, 999),
        used=st.dictionaries(st.just(M5), st.integers(1, 5)),
    ),
    max_size=10,
)


def a_teams_settings() -> st.SearchStrategy[dict[str, Any]]:
    """Return the settings of one of three teams, whose guarantees add up to at most 1."""

    def of(guaranteed: float, lent: float, borrowed: float | None, weight: float) -> dict[str, Any]:
        fields = {"guaranteed_share": guaranteed, "lend": guaranteed * lent, "weight": weight}
        return fields if borrowed is None else fields | {"borrow": borrowed}

    return st.builds(
        of,
        guaranteed=st.sampled_from([0.0, 0.1, 0.25, 0.33]),
        lent=st.sampled_from([0.0, 0.5, 1.0]),
        borrowed=st.sampled_from([None, 0.1, 0.5]),
        weight=st.sampled_from([0.5, 1.0, 3.0]),
    )


teams_of = st.fixed_dictionaries({team: a_teams_settings() for team in "abc"})
