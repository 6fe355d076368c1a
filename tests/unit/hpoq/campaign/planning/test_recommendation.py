"""Which strategy is recommended, and what would meet the goals of a campaign."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.fabricated import REQUEST
from hpoq.campaign.planning.compare import Comparison, plan
from hpoq.campaign.planning.estimate import PlanEstimate


def compared(trials: int, search: str = "Bayesian", **changes: Any) -> Comparison:
    given: dict[str, Any] = {"minutes_per_trial": 6.0, "limits": {"instances": 100}}
    request = {**REQUEST, "strategy": search}
    return plan(**{"name": "c", "trials": trials, "request": request} | given | changes)


def estimates(comparison: Comparison) -> dict[str, PlanEstimate]:
    return {each.strategy: each.estimate for each in comparison.options if each.estimate}


@pytest.mark.parametrize(
    ("minutes", "unit"), [(6.0, "min"), (12.0, "h"), (60.0, "h")], ids=["minutes", "1 h", "hours"]
)
def test_a_longer_time_is_said_in_hours_from_one_hour_on(minutes: float, unit: str) -> None:
    comparison = compared(5_000, minutes_per_trial=minutes)
    hours = {name: each.hours for name, each in estimates(comparison).items()}
    longer = hours["narrowing"] - hours[comparison.recommended]
    assert (longer >= 1) is (unit == "h")
    if minutes == 12.0:
        assert longer < 2
    said = f"{longer:,.1f} h" if unit == "h" else f"{60 * longer:.0f} min"
    assert f". narrowing takes {said} longer, but" in comparison.why


def test_if_none_meets_the_deadline_the_one_that_is_likeliest_to_is_recommended() -> None:
    """It is the one with the earliest end of its range."""
    comparison = compared(5_000, deadline_hours=1.0)
    latest = {name: each.hours_high for name, each in estimates(comparison).items()}
    assert comparison.recommended == min(latest, key=latest.__getitem__)
    (shortfall,) = comparison.option().shortfalls
    assert comparison.why == f"no strategy meets the goals; this one comes closest: {shortfall}"


def test_a_deadline_of_few_trials_names_exactly_as_many_as_finish_in_time() -> None:
    asked: dict[str, Any] = {"search": "Random", "limits": {"instances": 10}, "spread": 0.0}
    comparison = compared(300, deadline_hours=1.0, **asked)
    (shortfall,) = comparison.option("independent").shortfalls
    trials = int(shortfall.split(" trials")[0].split()[-1].replace(",", ""))
    assert compared(trials, deadline_hours=1.0, **asked).option("independent").fits
    assert not compared(trials + 1, deadline_hours=1.0, **asked).option("independent").fits


def test_as_many_trials_at_once_as_there_are_may_meet_a_deadline() -> None:
    asked: dict[str, Any] = {"search": "Random", "spread": 0.0, "startup_minutes": 0.0}
    wide = estimates(compared(20, **asked))["independent"]
    comparison = compared(
        20, deadline_hours=wide.hours_high + 0.001, limits={"instances": 10}, **asked
    )
    (shortfall,) = comparison.option("independent").shortfalls
    assert "or 20 trials in parallel instead of 10 would meet it" in shortfall


def test_a_deadline_shorter_than_a_trial_needs_shorter_trials() -> None:
    comparison = compared(20, "Random", deadline_hours=0.05, spread=0.0)
    (shortfall,) = comparison.option("independent").shortfalls
    assert shortfall.endswith("; only shorter trials would meet it")


def test_a_budget_is_kept_to_the_cent() -> None:
    cost = estimates(compared(1_000))["independent"].cost
    assert cost is not None
    assert compared(1_000, budget=cost).option("independent").fits
    assert not compared(1_000, budget=cost - 0.01).option("independent").fits


@pytest.mark.parametrize("targets", [1, 2, 3])
def test_ray_runs_only_without_other_targets(targets: int) -> None:
    limits = {"instances": 100, "targets": targets, "tuning_jobs": 100}
    option = compared(100, "Random", limits=limits).option("ray")
    assert (option.plan is not None) is (targets == 1)
