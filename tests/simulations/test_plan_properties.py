"""Properties of every plan hold on random snapshots, and each of them finds a planted bug.

The planted bugs change what ``plan`` is given or what it returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from hpo_dispatcher.contract.documents.capacity import WaitReason
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.plan import Plan, plan
from hpo_dispatcher.scheduling.preemption import Stop
from hpo_dispatcher.scheduling.reasons import next_in_queue
from hpo_dispatcher.scheduling.snapshot import Capacity, Snapshot, Wait
from tests.support.plan_properties import (
    Planner,
    Property,
    ceilings_hold,
    conservation,
    guarantees_come_first,
    limits_hold,
    no_stop_is_in_vain,
    nothing_idles,
    order_holds,
    plain_scene,
    preemption_settles,
    reasons_are_true,
    scene,
    stops_help,
    waits_are_bounded,
)

SNAPSHOTS = 1_000
Teams = Mapping[str, TeamSettings]

PROPERTIES: Sequence[Property] = (
    conservation, limits_hold, ceilings_hold, guarantees_come_first, order_holds,
    reasons_are_true, stops_help,
)  # fmt: skip


def found(holds: Property, planner: Planner) -> list[str]:
    """Return what a property finds wrong with plans of random snapshots."""
    of = plain_scene if holds is nothing_idles else scene
    scenes = map(of, range(SNAPSHOTS))
    return [problem for each in scenes if (problem := holds(each, each.planned_by(planner)))]


@pytest.mark.parametrize("holds", [*PROPERTIES, nothing_idles])
def test_a_property_holds_for_every_plan(holds: Property) -> None:
    assert found(holds, plan) == []


def test_a_plan_of_starts_only_has_the_same_starts_and_timers() -> None:
    for each in map(scene, range(SNAPSHOTS // 5)):
        whole = plan(each.snapshot, each.capacity, each.teams)
        starts = plan(each.snapshot, each.capacity, each.teams, starts_only=True)
        assert starts == replace(whole, waits=(), stops=())


def test_the_wait_of_the_first_request_is_bounded() -> None:
    assert [problem for seed in range(30) if (problem := waits_are_bounded(plan, seed))] == []


def loses_a_request(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    decided = plan(snapshot, capacity, teams)
    return replace(decided, waits=decided.waits[:-1])


def raises_limits(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    more = {name: limit + 1 for name, limit in capacity.instances.items()}
    return plan(snapshot, Capacity(tuning_jobs=capacity.tuning_jobs, instances=more), teams)


def forgets_ceilings(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    without = {t: each.model_copy(update={"ceiling": 1.0}) for t, each in teams.items()}
    return plan(snapshot, capacity, without)


def forgets_guarantees(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    without = {t: each.model_copy(update={"guaranteed_share": 0.0}) for t, each in teams.items()}
    return plan(snapshot, capacity, without)


def reverses_queues(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    queues = {team: list(reversed(queue)) for team, queue in snapshot.queues.items()}
    return plan(replace(snapshot, queues=queues), capacity, teams)


def counts_one_instance_too_many(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    decided = plan(snapshot, capacity, teams)
    waits = tuple(wait._replace(reason=_with_another_number(wait.reason)) for wait in decided.waits)
    return replace(decided, waits=waits)


def _with_another_number(reason: WaitReason) -> WaitReason:
    return replace(reason, text=reason.text.replace(" in use", "0 in use"))


def stops_any_job(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    decided = plan(snapshot, capacity, teams)
    victims = snapshot.running_jobs[: len(decided.stops)]
    stops = [replace(each, job=job) for job, each in zip(victims, decided.stops, strict=False)]
    return replace(decided, stops=tuple(stops))


def skips_the_last_start(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    decided = plan(snapshot, capacity, teams)
    skipped = [Wait(head, next_in_queue()) for head in decided.starts[-1:]]
    return replace(decided, starts=decided.starts[:-1], waits=(*decided.waits, *skipped))


def forgets_who_was_passed(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    return replace(plan(snapshot, capacity, teams), reservation_timers={})


@pytest.mark.parametrize(
    ("holds", "planted"),
    [
        (conservation, loses_a_request),
        (limits_hold, raises_limits),
        (ceilings_hold, forgets_ceilings),
        (guarantees_come_first, forgets_guarantees),
        (order_holds, reverses_queues),
        (reasons_are_true, counts_one_instance_too_many),
        (stops_help, stops_any_job),
        (nothing_idles, skips_the_last_start),
    ],
)
def test_a_property_finds_a_planted_bug(holds: Property, planted: Planner) -> None:
    assert found(holds, planted) != []


def test_the_bound_on_waits_finds_a_plan_that_forgets_who_was_passed() -> None:
    assert any(waits_are_bounded(forgets_who_was_passed, seed) for seed in range(30))


def test_preemption_comes_to_an_end_and_what_is_stopped_lets_its_request_start() -> None:
    assert [
        problem for seed in range(SNAPSHOTS) if (problem := preemption_settles(plan, seed))
    ] == []


def gives_away_what_was_freed(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    return plan(replace(snapshot, promised=frozenset()), capacity, teams)


def stops_jobs_of_equal_priority(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    lowered = [replace(job, priority=job.priority - 1) for job in snapshot.running_jobs]
    decided = plan(replace(snapshot, running_jobs=lowered), capacity, teams)
    jobs = {job.tuning_job_name: job for job in snapshot.running_jobs}
    stops = [replace(stop, job=jobs[stop.job.tuning_job_name]) for stop in decided.stops]
    return replace(decided, stops=tuple(stops))


@pytest.mark.parametrize(
    ("planted", "problem"),
    [
        (gives_away_what_was_freed, "did not start"),
        (stops_jobs_of_equal_priority, "still stopped"),
    ],
)
def test_a_preemption_that_does_not_settle_is_found(planted: Planner, problem: str) -> None:
    assert any(problem in preemption_settles(planted, seed) for seed in range(SNAPSHOTS))


def test_no_job_is_stopped_in_vain() -> None:
    assert [
        problem for seed in range(SNAPSHOTS) if (problem := no_stop_is_in_vain(plan, seed))
    ] == []


def stops_one_more(snapshot: Snapshot, capacity: Capacity, teams: Teams) -> Plan:
    decided = plan(snapshot, capacity, teams)
    stopped = {stop.job.tuning_job_name for stop in decided.stops}
    more = [
        Stop(job=job, head=decided.stops[-1].head)
        for job in snapshot.running_jobs
        if stopped and job.tuning_job_name not in stopped and job.request_id
    ]
    return replace(decided, stops=(*more[:1], *decided.stops))


def test_a_stop_in_vain_is_found() -> None:
    assert any(no_stop_is_in_vain(stops_one_more, seed) for seed in range(SNAPSHOTS))
