"""Snapshots, plans and Hypothesis strategies for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.plan import Capacity, Front, Head, Holder, Plan, Snapshot, plan
from hpo_dispatcher.tuning_job.build import Demand

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
M5 = "ml.m5.xlarge"
G5 = "ml.g5.xlarge"


def ago(minutes: float) -> datetime:
    return NOON - timedelta(minutes=minutes)


def demand(instances: dict[str, int] | None = None) -> Demand:
    return Demand(tuning_jobs=1, instances=instances or {})


def running(
    team: str | None, count: int = 1, instances: dict[str, int] | None = None, **fields: Any
) -> list[Holder]:
    return [
        Holder(tuning_job_name=f"{team}-{index}", team=team, demand=demand(instances), **fields)
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
        demand=demand(instances),
    )


def decide(
    *heads: Head,
    holders: list[Holder] | None = None,
    slots: int = 100,
    instances: dict[str, int] | None = None,
    fronts: dict[tuple[str, str], Front] | None = None,
    **teams: dict[str, Any],
) -> Plan:
    lines: dict[str, list[Head]] = {}
    for head in heads:
        lines.setdefault(head.team, []).append(head)
    capacity = Capacity(tuning_jobs=slots, instances=instances or {})
    settings = {team: TeamSettings(**fields) for team, fields in teams.items()}
    snapshot = Snapshot(now=NOON, holders=holders or [], lines=lines, fronts=fronts or {})
    return plan(snapshot, capacity, settings)


def started(decided: Plan) -> list[tuple[str, str]]:
    return [(head.team, head.request_id) for head in decided.starts]


def reason(decided: Plan, request_id: str) -> str:
    (wait,) = [wait for wait in decided.waits if wait.head.request_id == request_id]
    return wait.reason


heads_of = st.lists(
    st.builds(
        queued,
        team=st.sampled_from(["a", "b", "c"]),
        request_id=st.uuids().map(str),
        minutes_ago=st.integers(0, 120),
        instances=st.dictionaries(st.sampled_from([M5, G5]), st.integers(1, 8)),
    ),
    max_size=40,
)
holders_of = st.lists(
    st.builds(
        lambda team, n, held: Holder(tuning_job_name=f"j{n}", team=team, demand=demand(held)),
        team=st.sampled_from(["a", "b", None]),
        n=st.integers(0, 999),
        held=st.dictionaries(st.just(M5), st.integers(1, 5)),
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
