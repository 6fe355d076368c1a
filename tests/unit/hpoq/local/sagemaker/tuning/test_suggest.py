"""The suggestions of hyperparameters: scaling, seeds and known results."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hpoq.local.sagemaker.tuning.suggest import HyperparameterSearch


def lr(low: str, high: str, scaling: str = "Auto") -> dict[str, Any]:
    found = {"Name": "lr", "MinValue": low, "MaxValue": high, "ScalingType": scaling}
    return {"ContinuousParameterRanges": [found]}


RANGES: dict[str, Any] = {
    **lr("0.001", "0.1", "Logarithmic"),
    "IntegerParameterRanges": [{"Name": "size", "MinValue": "8", "MaxValue": "64"}],
    "CategoricalParameterRanges": [{"Name": "loss", "Values": ["a", "b", "c"]}],
}


def search(
    strategy: str = "Random", ranges: dict[str, Any] = RANGES, seed: int = 7
) -> HyperparameterSearch:
    return HyperparameterSearch({"Strategy": strategy}, ranges, True, seed)


def score(values: dict[str, str]) -> float:
    return -abs(math.log(float(values["lr"]) / 0.02)) - abs(int(values["size"]) - 32) / 32


def tried(search: HyperparameterSearch, count: int, parallel: int) -> list[dict[str, str]]:
    """Return the suggestions of a tuning job whose later parallel jobs end first."""
    asked = []
    for first in range(0, count, parallel):
        numbers = range(first, min(count, first + parallel))
        asked += [search.ask(number) for number in numbers]
        for number in reversed(numbers):
            search.tell(number, score(asked[number]))
    return asked


@pytest.mark.parametrize("strategy", ["Random", "Hyperband"])
def test_a_seed_gives_the_same_suggestions_with_any_parallelism(strategy: str) -> None:
    one, many = (tried(search(strategy), 30, parallel) for parallel in (1, 8))
    assert one == many
    assert tried(search(strategy, seed=8), 30, 1) != one
    assert len({str(values) for values in one}) == 30


def test_a_seed_gives_the_same_bayesian_search_for_the_same_order_of_results() -> None:
    assert tried(search("Bayesian"), 25, 4) == tried(search("Bayesian"), 25, 4)


NUMBERS = {kind: RANGES[kind] for kind in ("ContinuousParameterRanges", "IntegerParameterRanges")}


@pytest.mark.parametrize("ranges", [RANGES, NUMBERS])
@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_resumed_search_gives_the_same_suggestions(strategy: str, ranges: dict[str, Any]) -> None:
    whole = tried(search(strategy, ranges), 20, 1)
    again = search(strategy, ranges)
    for values in whole[:12]:
        again.add_result(values, score(values))
    again.add_running(12, whole[12])  # a training job that was running
    again.tell(12, score(whole[12]))

    assert again.ask(13) == whole[13]


@pytest.mark.parametrize("ranges", [RANGES, NUMBERS])
def test_bayesian_search_beats_random_search(ranges: dict[str, Any]) -> None:
    best = {
        strategy: sum(
            max(score(v) for v in tried(search(strategy, ranges, seed), 40, 4)) for seed in range(5)
        )
        for strategy in ("Bayesian", "Random")
    }
    assert best["Bayesian"] > best["Random"]


@pytest.mark.parametrize(
    ("ranges", "middle"),
    [
        (lr("0.0001", "1", "Linear"), 0.5),
        (lr("0.0001", "1", "Logarithmic"), 0.01),
        (lr("0", "0.9999", "ReverseLogarithmic"), 0.99),
        (lr("0.0001", "1"), 0.01),  # Auto: four decades
        (lr("0.1", "1"), 0.55),  # Auto: one
        (lr("-1", "1"), 0.0),
    ],
)
def test_the_scaling_determines_the_median_of_the_suggestions(
    ranges: dict[str, Any], middle: float
) -> None:
    here = search(ranges=ranges)
    found = [float(here.ask(number)["lr"]) for number in range(400)]
    below = sum(value < middle for value in found)
    assert 150 < below < 250
    bounds = ranges["ContinuousParameterRanges"][0]
    assert all(float(bounds["MinValue"]) <= value <= float(bounds["MaxValue"]) for value in found)


def test_integer_ranges_are_scaled() -> None:
    ranges = {"IntegerParameterRanges": [
        {"Name": "n", "MinValue": "1", "MaxValue": "10000", "ScalingType": "Logarithmic"}
    ]}  # fmt: skip
    here = search(ranges=ranges)
    found = [int(here.ask(number)["n"]) for number in range(300)]
    assert 100 < sum(value < 100 for value in found) < 200


def test_results_outside_the_ranges_are_not_used() -> None:
    here = search("Bayesian")
    for values in ({"lr": "5", "size": "8", "loss": "a"}, {"lr": "0.01"}, {"lr": "x"}):
        assert not here.add_result(values, 1.0)
    assert here.add_result({"lr": "0.01", "size": "8", "loss": "a"}, 1.0)


def test_a_grid_contains_every_combination_once() -> None:
    grid = {"CategoricalParameterRanges": [
        {"Name": "a", "Values": ["1", "2", "1"]}, {"Name": "b", "Values": ["x", "y", "z"]}
    ]}  # fmt: skip
    here = search("Grid", grid)
    points = [here.ask(number) for number in range(here.size)]
    assert len({(point["a"], point["b"]) for point in points}) == here.size == 6


@pytest.mark.parametrize(
    "objective",
    [lambda _: 1.0, lambda lr: lr * 1e308, lambda lr: -1e308 if lr < 0.05 else lr, lambda _: None],
)
def test_a_search_of_numbers_continues_with_any_results(objective: Any) -> None:
    here = search("Bayesian", NUMBERS)
    for number in range(12):
        values = here.ask(number)
        assert 0.001 <= float(values["lr"]) <= 0.1
        assert 8 <= int(values["size"]) <= 64
        here.tell(number, objective(float(values["lr"])))


def test_a_search_of_a_single_value_continues() -> None:
    here = search("Bayesian", lr("0.5", "0.5", "Linear"))
    for number in range(6):
        assert here.ask(number) == {"lr": "0.5"}
        here.tell(number, 1.0)
