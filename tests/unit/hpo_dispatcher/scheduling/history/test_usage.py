"""What teams have used lately."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.scheduling.history.usage import Used, updated, with_idle_teams, within
from tests.support.scheduling_scene import NOON

P4 = "ml.p4d.24xlarge"
DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)


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


def test_the_usage_of_an_idle_team_is_not_rounded_to_hours() -> None:
    weights = {"a": 1.0, "b": 0.5}
    assert with_idle_teams({"a": 0.25}, weights, {"a"}) == {"a": 0.25, "b": 0.125}


def test_an_idle_team_that_has_used_more_than_the_others_keeps_what_it_has_used() -> None:
    weights = {"a": 1.0, "b": 3.0}
    assert with_idle_teams({"a": 2.0, "b": 7.0}, weights, {"a"}) == {"a": 2.0, "b": 7.0}


def test_a_team_that_has_used_nothing_yet_lets_idle_teams_return_without_use() -> None:
    weights = {"a": 1.0, "new": 1.0, "idle": 1.0}
    assert with_idle_teams({"a": 2.0}, weights, {"a", "new"}) == {"a": 2.0}
