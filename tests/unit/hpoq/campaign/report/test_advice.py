"""What next: sentences that follow from the trials of a campaign."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.report.advice import advice, gain_of_doubling
from hpoq.campaign.report.series import importances
from hpoq.campaign.results.table import frame
from hpoq.campaign.results.trial import Trial

RANGES = {
    "lr": {"type": "continuous", "min": 1e-4, "max": 1e-1, "scaling": "Logarithmic"},
    "depth": {"type": "integer", "min": 1, "max": 20},
    "noise": {"type": "continuous", "min": 0, "max": 1},
}


def plan(count: int) -> CampaignPlan:
    request: dict[str, Any] = {
        "hyperparameter_ranges": RANGES,
        "objective": {"metric": "auc", "type": "Maximize"},
    }
    campaign = campaign_of(name="c", trials=count, minutes_per_trial=1, request=request)
    return planned(campaign, "single")


def said(best_lr: float, best_depth: float, count: int = 400) -> list[str]:
    """Return the advice after random trials of an objective with its optimum at the given point."""
    draws = random.Random(0)
    trials = []
    for number in range(count):
        lr, depth = 10 ** draws.uniform(-4, -1), draws.randint(1, 20)
        auc = -((math.log10(lr / best_lr) / 3) ** 2) - ((depth - best_depth) / 20) ** 2
        values = {"lr": repr(lr), "depth": str(depth), "noise": repr(draws.random())}
        trials.append(
            Trial(
                name=f"t{number}", job=1, status="Completed", hyperparameters=values, objective=auc
            )
        )
    made = plan(count)
    table = frame(made, trials)
    return advice(made, table, importances(table, list(RANGES)))


def test_ranges_are_named_whose_best_trials_lie_at_an_end() -> None:
    inside = said(best_lr=3e-3, best_depth=10)
    assert not any("end" in sentence.split(":")[1] for sentence in inside[:-1])
    upper = said(best_lr=3.0, best_depth=10)
    assert upper[0] == "lr: the best trials are at the upper end, 0.1. Try greater values."
    lower = said(best_lr=3e-3, best_depth=-20)
    assert lower[0] == "depth: the best trials are at the lower end, 1. Try smaller values."


def test_hyperparameters_without_a_difference_are_named_alone() -> None:
    sentences = said(best_lr=3e-3, best_depth=10)
    (found,) = [sentence for sentence in sentences if "little difference" in sentence]
    assert found.startswith("noise: ")


def test_the_interval_of_an_importance_contains_it_and_shrinks_with_more_trials() -> None:
    draws = random.Random(1)

    def width(count: int) -> float:
        trials = [
            Trial(
                name=f"t{n}", job=1, status="Completed", objective=lr + draws.gauss(0, 0.3),
                hyperparameters={"lr": repr(10 ** (3 * lr - 4)), "depth": "3", "noise": "0.5"},
            )
            for n in range(count) for lr in [draws.random()]
        ]  # fmt: skip
        noisy = [
            Trial(
                name=t.name, job=1, status=t.status, objective=t.objective,
                hyperparameters={**t.hyperparameters, "noise": repr(draws.random())},
            )
            for t in trials
        ]  # fmt: skip
        found = importances(frame(plan(count), noisy), list(RANGES))["lr"]
        assert found.low <= found.share <= found.high
        return found.high - found.low

    assert width(700) < width(60)


@pytest.mark.parametrize("maximize", [True, False])
def test_a_doubling_gains_what_the_second_half_of_random_trials_gained(maximize: bool) -> None:
    """The best of n uniform draws is 1/(n+1) below the end: half of them lie 1/(n/2+1) below."""
    draws = random.Random(2)
    values = [draws.random() for _ in range(1_000)]
    middle, low, high = gain_of_doubling(values, maximize=maximize)
    assert 0 <= low <= middle <= high < 10 / 500


def test_too_few_trials_give_no_advice() -> None:
    assert said(best_lr=3e-3, best_depth=10, count=30) == []


def test_trials_of_which_the_second_half_gains_nothing_in_most_orders_are_enough() -> None:
    """Three quarters of the orders have one of the two best trials in their first half."""
    objectives = [0.9, 0.9, *(0.01 * n for n in range(58))]
    made = plan(len(objectives))
    values = {"lr": "0.001", "depth": "9", "noise": "0.5"}
    trials = [
        Trial(name=f"t{n}", job=1, status="Completed", hyperparameters=values, objective=each)
        for n, each in enumerate(objectives)
    ]
    last = advice(made, frame(made, trials), {})[-1]
    assert last == (
        "More trials: probably not worth it; in most random orders, the second half of the trials "
        "improved nothing, and in nine of ten at most 0.34."
    )
