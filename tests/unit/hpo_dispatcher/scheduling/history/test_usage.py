"""What teams have used lately, and that shares over time follow the weights on any quota."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.history.usage import Used, updated, with_idle_teams, within
from hpo_dispatcher.scheduling.plan import plan
from hpo_dispatcher.scheduling.snapshot import Capacity, Head, RunningJob, Snapshot
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.scheduling_scene import NOON

P4 = "ml.p4d.24xlarge"
DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)
WEIGHTS = {"a": 1.0, "b": 3.0, "c": 10.0}


def test_a_team_that_uses_half_of_a_quota_for_two_hours_has_used_one_hour_of_the_account() -> None:
    used = [Used("a", {P4: 2, "other": 1}, 7200.0)]
    usage = updated({}, used, {P4: 4, "other": 100}, 2 * HOUR, timedelta(days=10_000))
    assert usage == {"a": pytest.approx(1.0, abs=1e-4)}


def test_use_counts_half_after_the_half_life() -> None:
    assert updated({"a": 3.0}, [], {P4: 4}, DAY, DAY) == {"a": 1.5}


def test_without_a_half_life_nothing_is_remembered() -> None:
    assert updated({"a": 3.0}, [Used("a", {P4: 1}, 60)], {P4: 4}, HOUR, timedelta(0)) == {}


@given(st.integers(1, 500), st.integers(1, 20))
def test_many_short_intervals_give_the_same_as_one_long_one(minutes: int, parts: int) -> None:
    interval = timedelta(minutes=minutes)
    used = [Used("a", {P4: 1}, interval.total_seconds())]
    usage: dict[str, float] = {"a": 2.0}
    for _ in range(parts):
        part = [Used("a", {P4: 1}, interval.total_seconds() / parts)]
        usage = updated(usage, part, {P4: 4}, interval / parts, DAY)
    assert usage == {
        "a": pytest.approx(updated({"a": 2.0}, used, {P4: 4}, interval, DAY)["a"], abs=1e-4)
    }


def test_only_the_part_of_a_run_inside_the_interval_counts() -> None:
    assert within(NOON - HOUR, NOON + HOUR, NOON, NOON + timedelta(minutes=30)) == 1800
    assert within(NOON - HOUR, NOON - timedelta(minutes=1), NOON, NOON + HOUR) == 0


def test_a_team_collects_no_credit_while_it_asks_for_nothing() -> None:
    usage = with_idle_teams({"a": 2.0}, {"a": 1.0, "b": 3.0}, {"a"})
    assert usage == {"a": 2.0, "b": 6.0}
    assert with_idle_teams(usage, {"a": 1.0, "b": 3.0}, {"a", "b"}) == usage


def test_a_team_that_has_used_nothing_yet_lets_idle_teams_return_without_use() -> None:
    weights = {"a": 1.0, "new": 1.0, "idle": 1.0}
    assert with_idle_teams({"a": 2.0}, weights, {"a", "new"}) == {"a": 2.0}


@pytest.mark.parametrize("quota", [1, 2, 4, 14, 40])
def test_shares_over_a_day_follow_the_weights_whatever_the_quota(quota: int) -> None:
    """Three teams always have work, in jobs of 20 to 40 minutes, after half a day to settle."""
    draw = random.Random(quota)
    teams = {team: TeamSettings(weight=weight) for team, weight in WEIGHTS.items()}
    capacity = Capacity(tuning_jobs=100, instances={P4: quota})
    now, usage, number = NOON, dict[str, float](), 0
    running: list[tuple[RunningJob, timedelta]] = []
    delivered = Counter[str]()
    while now < NOON + 1.5 * DAY:
        free = quota - len(running)
        queues = {
            team: [
                Head(team=team, request_id=f"{number}-{n}", priority=0, accepted_at=NOON,
                     instances={P4: 1})
                for n in range(free)
            ]
            for team in WEIGHTS
        }  # fmt: skip
        number += 1
        snapshot = Snapshot(
            now=now, running_jobs=[job for job, _ in running], queues=queues, usage=usage
        )
        for head in plan(snapshot, capacity, teams).starts:
            job = RunningJob(
                tuning_job_name="/".join(head.key), team=head.team, instances=head.instances
            )
            running.append((job, now - NOON + timedelta(minutes=draw.uniform(20, 40))))
        end = NOON + min(end for _, end in running)
        seconds = (end - now).total_seconds()
        used = [Used(job.team or "", job.needs, seconds) for job, _ in running]
        usage = updated(usage, used, capacity.limits, end - now, DAY)
        if now >= NOON + 0.5 * DAY:
            for job, _ in running:
                delivered[job.team or ""] += round(seconds)
        now = end
        running = [(job, until) for job, until in running if NOON + until > now]
    for team, weight in WEIGHTS.items():
        assert delivered[team] / delivered.total() == pytest.approx(weight / 14, abs=0.05)


def test_the_dispatcher_remembers_what_teams_have_used() -> None:
    """On a quota of one, ten of eleven turns are those of the team of tenfold weight."""
    arrivals = [
        Arrival(at=0, team=team, request_id=f"{team}{n}", seconds=600, instance_type=P4)
        for team in "ab"
        for n in range(66)
    ]
    workload = Workload(
        name="one", arrivals=arrivals, teams={"a": {}, "b": {"weight": 10.0}}, instances={P4: 1}
    )
    result = Simulation(workload).run()
    first = Counter(team for _, team, _ in sorted(result.starts)[:66])
    assert first["b"] == pytest.approx(60, abs=2)
