"""What teams have used lately."""

from __future__ import annotations

import math
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


@pytest.mark.parametrize(
    ("needs", "hours"),
    [
        ({P4: 2}, 0.5),
        ({P4: 2, "other": 75}, 0.75),  # of several resources, the one it uses most of
        ({"unlimited": 9}, 0.0),  # what has no limit is no part of the account
        ({"none": 9}, 0.0),
        ({P4: 2, "unlimited": 9}, 0.5),
        ({}, 0.0),
    ],
)
def test_a_team_uses_the_largest_part_of_any_limit(needs: dict[str, int], hours: float) -> None:
    limits = {P4: 4, "other": 100, "none": 0}
    usage = updated({}, [Used("a", needs, 3600.0)], limits, HOUR, timedelta(days=100_000))
    assert usage == ({"a": pytest.approx(hours, abs=1e-5)} if hours else {})


def test_what_the_jobs_of_a_team_use_of_a_resource_adds_up() -> None:
    used = [
        Used("a", {P4: 1}, 3600.0), Used("b", {P4: 1}, 3600.0), Used("a", {P4: 1}, 1800.0),
        Used("a", {"other": 20}, 3600.0),
    ]  # fmt: skip
    usage = updated({"b": 1.0}, used, {P4: 4, "other": 100}, HOUR, timedelta(days=100_000))
    assert usage == {"a": pytest.approx(0.375, abs=1e-5), "b": pytest.approx(1.25, abs=1e-4)}


def test_use_in_an_interval_counts_less_the_earlier_it_was() -> None:
    """Over one half-life, use has the mean weight of 1 / (2 ln 2)."""
    usage = updated({}, [Used("a", {P4: 4}, DAY.total_seconds())], {P4: 4}, DAY, DAY)
    assert usage == {"a": pytest.approx(24 / 2 / math.log(2), abs=1e-6)}


@pytest.mark.parametrize("hours", [0, -1])
def test_no_time_changes_nothing(hours: float) -> None:
    usage = updated({"a": 3.0}, [Used("a", {P4: 1}, 60)], {P4: 4}, timedelta(hours=hours), DAY)
    assert usage == {"a": 3.0}


@pytest.mark.parametrize(
    ("before", "after"), [(2e-6, {}), (2.2e-6, {"a": 1e-6}), (2.468e-4, {"a": 1.23e-4})]
)
def test_use_is_remembered_in_millionths_of_an_hour(before: float, after: dict[str, float]) -> None:
    assert updated({"a": before}, [], {P4: 4}, DAY, DAY) == after
    idle = with_idle_teams({"a": 1 / 3}, {"a": 1.0, "idle": 1.0}, {"a"})
    assert idle == {"a": 1 / 3, "idle": 0.333333}


def test_teams_without_a_weight_are_not_present() -> None:
    assert with_idle_teams({"a": 2.0}, {"b": 1.0}, {"a"}) == {"a": 2.0}
