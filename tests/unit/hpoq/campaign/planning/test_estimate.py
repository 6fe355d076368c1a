"""What a plan takes, worked out by hand for trials that all take the same time."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any

import pytest

from benchmarks.fabricated import REQUEST
from benchmarks.planner import campaign as simulated_campaign
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.compare import campaign_of, plan, planned
from hpoq.campaign.planning.estimate import (
    MODEL_ERROR,
    PlanEstimate,
    estimate,
    longest_residual,
    slots_needed,
)


def fields(trials: int, search: str = "Random", **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"minutes_per_trial": 6.0, "spread": 0.0}
    request = {**REQUEST, "strategy": search}
    return {"name": "c", "trials": trials, "request": request} | given | changes


def wanted(trials: int, search: str = "Random", **changes: Any) -> Campaign:
    return campaign_of(**fields(trials, search, **changes))


def test_an_estimate_counts_what_a_plan_uses() -> None:
    campaign = wanted(200, limits={"instances": 40}, instances_per_trial=2, price_per_hour=0.25)
    found = estimate(planned(campaign, "single"))
    assert 20 / 10 <= found.hours <= 20.5 / 10  # twenty rounds of six minutes, and a tail
    assert found == PlanEstimate(
        strategy="single", tuning_jobs=1, largest=200, smallest=200, at_once=1, waves=1,
        parallel=10, instances=20, hours=found.hours, hours_low=found.hours,
        hours_high=found.hours, instance_hours=40.0, cost=10.0,
        bound_by="10 parallel training jobs of one tuning job",
    )  # fmt: skip


def test_an_unknown_price_is_no_cost() -> None:
    campaign = wanted(10, instance_type="ml.unknown.large")
    assert estimate(planned(campaign, "single")).cost is None
    assert estimate(planned(wanted(10, price_per_hour=0), "single")).cost == 0.0


@pytest.mark.parametrize(
    ("trials", "limits", "strategy", "parallel", "bound_by"),
    [
        (5, {}, "single", 5, "5 trials"),
        (10, {}, "single", 10, "10 parallel training jobs of one tuning job"),
        (15, {}, "independent", 15, "15 trials"),
        (5_000, {}, "independent", 1_000, "100 tuning jobs of 10 in parallel"),
        (5_000, {"instances": 40}, "independent", 40, "40 instances of ml.m5.large"),
        # As many instances as tuning jobs could use: more instances would not help.
        (5_000, {"instances": 1_000}, "independent", 1_000, "100 tuning jobs of 10 in parallel"),
        (900, {"tuning_jobs": 3}, "independent", 30, "3 tuning jobs of 10 in parallel"),
    ],
)
def test_the_binding_limit_is_named(
    trials: int, limits: dict[str, int], strategy: str, parallel: int, bound_by: str
) -> None:
    found = estimate(planned(wanted(trials, limits=limits), strategy))
    assert (found.parallel, found.bound_by) == (parallel, bound_by)


def test_no_more_tuning_jobs_run_at_once_than_have_slots_or_than_the_account_allows() -> None:
    narrow_last = estimate(planned(wanted(400, limits={"instances": 20}), "independent"))
    assert narrow_last.at_once == 20, "twenty jobs of one slot each"
    assert narrow_last.tuning_jobs > 20
    few = wanted(400, limits={"instances": 20, "tuning_jobs": 4})
    assert estimate(planned(few, "independent")).at_once == 4


def test_waves_follow_each_other() -> None:
    campaign = wanted(600, search="Bayesian", limits={"instances": 10})
    found = estimate(planned(campaign, "narrowing"))
    assert found.waves == 4
    # Sixty rounds of six minutes, and after each wave the end of its last trials.
    assert 6.0 <= found.hours <= 6.0 + 4 * 0.1
    assert (found.largest, found.smallest, found.at_once) == (150, 30, 2)


def test_what_varies_takes_between_its_bounds() -> None:
    found = estimate(planned(wanted(400, spread=0.5), "independent"))
    assert found.hours_low < found.hours < found.hours_high


def test_a_rest_of_a_few_trials_changes_an_estimate_little() -> None:
    """The last tuning job is narrower then, as where single slots are filled."""
    limits = {"tuning_jobs": 100}
    even, rest = (
        estimate(planned(wanted(trials, spread=0.5, limits=limits), "independent")).hours
        for trials in (13_500, 13_504)
    )
    assert rest == pytest.approx(even, rel=0.01)


@pytest.mark.parametrize(("trials", "targets"), [(13_504, 1), (20_000, 1), (20_000, 3)])
def test_an_estimate_for_many_tuning_jobs_at_once_agrees_with_a_simulation(
    trials: int, targets: int
) -> None:
    """All slots are taken by tuning jobs of full width, so each waits for its slowest trial."""
    limits = {"targets": targets, "tuning_jobs": 100 * targets}
    made = planned(wanted(trials, spread=0.5, minutes_per_trial=10.0, limits=limits), "independent")
    minutes, _ = simulated_campaign(made, random.Random(1))
    assert estimate(made).hours == pytest.approx(minutes / 60, rel=0.08)


def test_no_trial_of_a_wave_of_few_rounds_has_run_for_longer_than_the_wave() -> None:
    """Times that vary much: the longest of many trials would otherwise have begun long before."""
    limits = {"targets": 3, "tuning_jobs": 300}
    made = planned(
        wanted(20_000, "Bayesian", spread=0.9, minutes_per_trial=10.0, limits=limits), "warm-waves"
    )
    hours = [simulated_campaign(made, random.Random(seed))[0] / 60 for seed in range(4)]
    assert estimate(made).hours == pytest.approx(statistics.fmean(hours), rel=0.1)


def test_waves_vary_independently() -> None:
    """The deviation of a sum of independent times is the root of the sum of their squares."""
    waves, one = (
        estimate(
            planned(wanted(trials, "Bayesian", spread=0.5, limits={"instances": 10}), strategy)
        )
        for trials, strategy in ((600, "narrowing"), (150, "single"))
    )
    up, up_one = waves.hours_high - waves.hours, one.hours_high - one.hours
    assert up == pytest.approx(math.sqrt(4) * up_one, rel=0.35)


@pytest.mark.parametrize(
    ("parallel", "quantile", "expected"),
    [(1, 0.5, 0.5), (1, 0.9, 0.9), (10, 0.5, 0.5 ** (1 / 10)), (100, 0.9, 0.9 ** (1 / 100))],
)
def test_the_remaining_time_of_equal_trials_is_uniform(
    parallel: int, quantile: float, expected: float
) -> None:
    """Renewal theory: P(residual > t) = 1 - t for trials that all take 1."""
    assert longest_residual(parallel, 0.001, quantile) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("hours", "slots"),
    [(100.5, 1), (50.5, 2), (10.5, 10), (10.4, 11), (1.5, 100), (1.49, math.inf)],
)
def test_the_slots_that_finish_in_time(hours: float, slots: float) -> None:
    """A hundred trials of an hour each, and half an hour for the tail."""
    assert slots_needed(wanted(100, minutes_per_trial=60.0), hours) == slots


def test_each_later_wave_waits_for_the_next_look_half_of_the_time_between_two_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hours = []
    for minutes in (0.0, 60.0):
        monkeypatch.setattr("hpoq.campaign.planning.estimate.POLL_MINUTES", minutes)
        campaign = wanted(600, search="Bayesian", limits={"instances": 10})
        hours.append(estimate(planned(campaign, "narrowing")).hours)
    assert hours[1] - hours[0] == pytest.approx(3 * 0.5)


def test_the_parallelism_that_would_meet_a_deadline_is_nearly_the_least() -> None:
    asked = {"limits": {"instances": 100}, "deadline_hours": 9.0}
    (shortfall,) = plan(**fields(10_000, **asked)).option("independent").shortfalls
    parallel = int(shortfall.split(" trials in parallel")[0].split()[-1].replace(",", ""))
    for instances, fits in ((parallel, True), (round(parallel * 0.97), False)):
        wider = fields(10_000, **asked | {"limits": {"instances": instances}})
        assert plan(**wider).option("independent").fits is fits


@pytest.mark.parametrize("spread", [0.05, 0.5])
def test_the_range_is_no_narrower_than_the_error_of_the_formulas(spread: float) -> None:
    limits = {"instances": 10, "training_jobs_random": 10_000}
    found = estimate(planned(wanted(10_000, spread=spread, limits=limits), "single"))
    for bound in (found.hours_low, found.hours_high):
        assert abs(bound - found.hours) >= MODEL_ERROR * found.hours
    exact = estimate(planned(wanted(700, limits=limits), "single"))
    assert exact.hours_low == exact.hours == exact.hours_high


def test_a_plan_starts_each_slot_of_each_job_and_half_of_a_start_beside_its_narrow_jobs() -> None:
    """The start-ups of later trials take no time here, and all jobs take many looks."""
    without, with_starts = (
        wanted(400, limits={"instances": 20}, startup_minutes=each, reused_startup_minutes=0.0)
        for each in (0.0, 3.0)
    )
    plan_ = planned(with_starts, "independent")
    starts = sum(job.parallel for job in plan_.jobs)
    hours = estimate(plan_).hours - estimate(planned(without, "independent")).hours
    assert 60 * hours == pytest.approx(3.0 * (starts / 20 + 1 / 2))
