"""The waves of strategies whose tuning jobs learn from each other, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.fabricated import REQUEST
from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.compare import campaign_of, extended, planned
from hpoq.campaign.planning.shapes import Shape
from hpoq.campaign.planning.waves import next_wave, wave_count


def wanted(trials: int, search: str = "Bayesian", **limits: int) -> Campaign:
    return campaign_of(
        name="c", trials=trials, minutes_per_trial=6.0, request={**REQUEST, "strategy": search},
        limits={"instances": 10, **limits},
    )  # fmt: skip


def jobs(campaign: Campaign, strategy: str) -> list[tuple[int, int, int]]:
    """Return wave, trials and parallelism of each job."""
    return [(each.wave, each.trials, each.parallel) for each in planned(campaign, strategy).jobs]


@pytest.mark.parametrize(
    ("trials", "waves"), [(1, 1), (59, 1), (60, 2), (89, 2), (90, 3), (120, 4), (9_000, 4)]
)
def test_a_wave_has_three_rounds_of_all_slots_and_there_are_four_at_most(
    trials: int, waves: int
) -> None:
    assert wave_count(wanted(trials)) == waves


def test_a_wave_continues_the_numbers_of_the_jobs_before() -> None:
    shapes = [Shape(5, 2), Shape(3, 1)]
    first = next_wave([], shapes)
    assert [(job.number, job.wave, job.trials, job.parallel) for job in first] == [
        (1, 1, 5, 2), (2, 1, 3, 1)
    ]  # fmt: skip
    later = next_wave([PlannedJob(number=7, wave=2, trials=1, parallel=1)], shapes)
    assert [(job.number, job.wave) for job in later] == [(8, 3), (9, 3)]


def test_warm_waves_start_from_the_best_five_of_the_wave_before() -> None:
    """Parents' trials count: a tuning job of 750 has room for 125 beside five equal parents."""
    made = planned(wanted(3_000, instances=100), "warm-waves").jobs
    assert [(job.wave, job.trials, job.parallel, job.parents) for job in made] == [
        (wave, 75, 10, 5 if wave > 1 else 0) for wave in (1, 2, 3, 4) for _ in range(10)
    ]
    more = planned(wanted(6_250, instances=100), "warm-waves").jobs
    assert max(job.wave for job in more) == 5, "as many as have room for all trials"
    assert max(job.trials for job in more) == 125


def test_one_lane_has_one_parent_and_shares_the_limit_with_it() -> None:
    made = planned(wanted(600), "warm-waves").jobs
    assert [(job.trials, job.parents) for job in made] == [(150, 0), (150, 1), (150, 1), (150, 1)]
    longer = extended(planned(wanted(60), "warm-waves"), 800).jobs
    assert [(job.wave, job.trials, job.parents) for job in longer] == [
        (1, 30, 0), (2, 30, 1), (3, 267, 1), (4, 267, 1), (5, 266, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("strategy", ["warm-waves", "narrowing"])
def test_what_learns_from_waves_needs_two_of_them_and_a_search_that_learns(strategy: str) -> None:
    assert {wave for wave, _, _ in jobs(wanted(60), strategy)} == {1, 2}
    with pytest.raises(InvalidPlan, match="too few trials for a second wave"):
        planned(wanted(59), strategy)
    with pytest.raises(InvalidPlan, match="needs a Bayesian search, but the request asks for Ran"):
        planned(wanted(60, search="Random"), strategy)


def test_a_limit_without_room_for_the_trials_of_parents_is_named() -> None:
    wide = {"instances": 100, "parallel_training_jobs": 10}
    assert planned(wanted(600, training_jobs=6, **wide), "warm-waves").jobs
    with pytest.raises(InvalidPlan, match="leave no room"):
        planned(wanted(600, training_jobs=5, **wide), "warm-waves")


def test_a_fifth_of_the_slots_keeps_the_full_ranges() -> None:
    made = planned(wanted(600), "narrowing").jobs
    assert [(job.wave, job.trials, job.parallel, job.explores) for job in made] == [
        (1, 150, 10, True),
        *((wave, *of) for wave in (2, 3, 4) for of in ((120, 8, False), (30, 2, True))),
    ]


def test_one_slot_explores_in_the_first_wave_only() -> None:
    made = planned(wanted(12, instances=1), "narrowing").jobs
    assert [(job.trials, job.explores) for job in made] == [
        (3, True), (3, False), (3, False), (3, False)
    ]  # fmt: skip


def test_jobs_of_a_wave_hold_no_more_than_a_tuning_job_may() -> None:
    made = planned(wanted(600, training_jobs=50), "narrowing").jobs
    assert [(job.trials, job.explores) for job in made if job.wave == 2] == [
        (40, False), (40, False), (40, False), (30, True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("trials", "limits", "expected"),
    [
        (30, {}, [(1, 30, 10)]),
        (29, {}, [(1, 29, 9)]),  # each trial beyond the first third has earlier ones
        (3, {}, [(1, 3, 1)]),
        (100, {"training_jobs": 30}, [(1, 25, 8)] * 4),
        (60, {"instances": 20}, [(1, 30, 10)] * 2),
    ],
)
def test_hyperband_runs_a_third_of_its_trials_at_once(
    trials: int, limits: dict[str, int], expected: list[tuple[int, int, int]]
) -> None:
    assert jobs(wanted(trials, search="Hyperband", **limits), "hyperband") == expected


@pytest.mark.parametrize(
    ("trials", "limits"), [(2, {}), (100, {"training_jobs": 2, "instances": 1})]
)
def test_hyperband_needs_three_trials_in_a_tuning_job(trials: int, limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidPlan, match="needs at least 3"):
        planned(wanted(trials, search="Hyperband", **limits), "hyperband")


@pytest.mark.parametrize(("trials", "parallel"), [(5, 5), (10, 10), (750, 10)])
def test_a_single_job_runs_as_much_at_once_as_it_may(trials: int, parallel: int) -> None:
    assert jobs(wanted(trials, instances=30), "single") == [(1, trials, parallel)]
    assert jobs(wanted(trials, instances=4), "single") == [(1, trials, 4)]


def test_a_single_job_is_extended_by_one_as_long_as_it_holds_the_trials() -> None:
    one = planned(wanted(700), "single")
    assert [job.trials for job in extended(one, 750).jobs] == [700, 750]
    assert len(extended(one, 751).jobs) > 2
