"""The suggestions of hyperparameters: scaling, seeds and known results."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.tuning.suggest import HyperparameterSearch, NumericScale, parameters


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


def number(low: str, high: str, scaling: str | None = None, kind: str = "Continuous") -> Any:
    each = {"Name": "p", "MinValue": low, "MaxValue": high}
    each |= {"ScalingType": scaling} if scaling else {}
    return parameters({f"{kind}ParameterRanges": [each]})["p"]


@pytest.mark.parametrize(
    ("low", "high", "scaling", "log"),
    [
        ("1", "1000", None, True),  # three decades
        ("1", "999", None, False),
        ("0", "1000", None, False),
        ("-1", "1000", "Auto", False),
        ("1", "2", "Logarithmic", True),
        ("1", "100000", "Linear", False),
    ],
)
def test_auto_is_logarithmic_from_three_decades_on(
    low: str, high: str, scaling: str | None, log: bool
) -> None:
    assert number(low, high, scaling).distribution.log is log
    assert number(low, high, scaling, "Integer").distribution.log is log


@pytest.mark.parametrize(
    ("low", "high", "scaling", "kind", "problem"),
    [
        ("2", "1", None, "Integer", "MinValue 2 is greater than MaxValue 1"),
        ("0", "1", "Logarithmic", "Continuous", "needs MinValue above 0"),
        ("0", "1", "ReverseLogarithmic", "Continuous", "needs 0 <= range < 1"),
        ("-0.1", "0.5", "ReverseLogarithmic", "Continuous", "needs 0 <= range < 1"),
        ("0", "0", "ReverseLogarithmic", "Integer", "needs 0 <= range < 1"),
        ("-1e308", "1e308", None, "Continuous", "too wide"),
        ("1_0", "20", None, "Integer", r"MinValue \[1_0\] is not an integer"),
        ("1.5", "20", None, "Integer", "not an integer"),
        ("0", "inf", None, "Continuous", r"MaxValue \[inf\] is not a number"),
        ("0", "1e999", None, "Continuous", "not a number"),
        ("0", str(2**63), None, "Integer", "not an integer"),
    ],
)
def test_a_range_that_java_or_the_search_cannot_have_is_refused(
    low: str, high: str, scaling: str | None, kind: str, problem: str
) -> None:
    with pytest.raises(ApiError, match=problem):
        number(low, high, scaling, kind)


@pytest.mark.parametrize(
    ("low", "high", "scaling", "kind"),
    [
        ("1", "1", None, "Integer"),
        ("0", "0.99", "ReverseLogarithmic", "Continuous"),
        (str(-(2**63)), "0", None, "Integer"),
        ("0", str(2**63 - 1), None, "Integer"),
        (" 1.", ".5e1 ", None, "Continuous"),
    ],
)
def test_a_range_at_these_bounds_is_taken(
    low: str, high: str, scaling: str | None, kind: str
) -> None:
    assert number(low, high, scaling, kind).distribution


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        (("1", "9", None, "Integer"), 5, "5"),
        (("1", "9", None, "Integer"), 10, "9"),
        (("1", "9", None, "Integer"), 0, "1"),
        (("0.5", "0.9", None, "Continuous"), 0.95, "0.9"),
        (("0.5", "0.9", "ReverseLogarithmic", "Continuous"), 0.25, "0.75"),
        (("0.5", "0.9", "ReverseLogarithmic", "Continuous"), 0.6, "0.5"),
    ],
)
def test_a_value_is_written_within_its_range(parameter: Any, value: Any, text: str) -> None:
    assert number(*parameter).written(value) == text


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (("1", "9", None, "Integer"), "5", 5),
        (("1", "9", None, "Integer"), "4.9", 5),
        (("1", "9", None, "Integer"), "10", None),
        (("0", "1", None, "Continuous"), "1.0", 1.0),
        (("0", "1", None, "Continuous"), "1.1", None),
        (("0", "1", None, "Continuous"), "text", None),
        (("0.5", "0.9", "ReverseLogarithmic", "Continuous"), "0.75", 0.25),
        (("0.5", "0.9", "ReverseLogarithmic", "Continuous"), "0.25", None),
    ],
)
def test_a_value_outside_the_range_is_not_read(parameter: Any, text: str, value: Any) -> None:
    assert number(*parameter).read(text) == value


def test_a_category_is_read_and_written_as_it_is() -> None:
    each = {"Name": "c", "Values": ["adam", "1"]}
    category = parameters({"CategoricalParameterRanges": [each]})["c"]
    assert (category.read("1"), category.read("sgd"), category.written("1")) == ("1", None, "1")
    assert category.unit is None


@pytest.mark.parametrize(
    ("scale", "value", "share"),
    [
        (NumericScale(0, 10, log=False, is_integer=False), 2.5, 0.25),
        (NumericScale(1, 100, log=True, is_integer=False), 10.0, 0.5),
        (NumericScale(-4, 4, log=False, is_integer=True), 0, 0.5),
        (NumericScale(1, 10000, log=True, is_integer=True), 100, 0.5),
    ],
)
def test_a_number_and_its_share_of_the_range(
    scale: NumericScale, value: float, share: float
) -> None:
    assert scale.of(value) == pytest.approx(share)
    assert scale.value(share) == pytest.approx(value)
    assert (scale.value(-0.1), scale.value(1.1)) == (scale.low, scale.high)
    assert isinstance(scale.value(share), int) is scale.is_integer


def test_a_single_value_is_in_the_middle() -> None:
    assert NumericScale(3, 3, log=False, is_integer=False).of(3) == 0.5


def test_reverse_logarithmic_scaling_searches_the_distance_from_one() -> None:
    found = number("0.5", "0.99", "ReverseLogarithmic")
    assert found.is_reversed
    assert found.distribution.log
    assert found.distribution.low == pytest.approx(0.01)
    assert found.distribution.high == pytest.approx(0.5)
    assert found.unit is not None
    assert found.unit.of(0.1) == pytest.approx(math.log(10) / math.log(50))


def test_each_kind_of_range_has_its_distribution() -> None:
    found = parameters(RANGES)
    assert {name: type(each.distribution).__name__ for name, each in found.items()} == {
        "loss": "CategoricalDistribution", "size": "IntDistribution", "lr": "FloatDistribution"
    }  # fmt: skip
    assert parameters({}) == {}


@pytest.mark.parametrize(
    ("parameter", "scale"),
    [
        (("1", "9", None, "Integer"), NumericScale(1, 9, log=False, is_integer=True)),
        (("1", "1000", None, "Integer"), NumericScale(1, 1000, log=True, is_integer=True)),
        (("0.5", "2", None), NumericScale(0.5, 2, log=False, is_integer=False)),
        (("0.5", "2", "Logarithmic"), NumericScale(0.5, 2, log=True, is_integer=False)),
        # The distance from 1.
        (
            ("0.5", "0.75", "ReverseLogarithmic"),
            NumericScale(0.25, 0.5, log=True, is_integer=False),
        ),
    ],
)
def test_a_number_is_searched_on_the_scale_of_its_range(
    parameter: Any, scale: NumericScale
) -> None:
    assert number(*parameter).unit == scale


@pytest.mark.parametrize("strategy", ["Random", "Hyperband"])
def test_a_search_other_than_bayesian_learns_nothing(strategy: str) -> None:
    learning, same = search(strategy), search(strategy)
    for count in range(15):
        learning.ask(count)
        learning.tell(count, float(count))
    assert learning.ask(15) == same.ask(15)


def test_suggestions_of_numbers_above_ten_hyperparameters_are_within_their_ranges() -> None:
    each = {"MinValue": "2", "MaxValue": "4"}
    many = {"IntegerParameterRanges": [{"Name": f"n{n}", **each} for n in range(11)]}
    here = search("Bayesian", many)
    for count in range(13):
        values = here.ask(count)
        assert values.keys() == {f"n{n}" for n in range(11)}
        assert set(values.values()) <= {"2", "3", "4"}
        here.tell(count, 1.0)


def test_a_search_other_than_a_grid_has_no_last_suggestion() -> None:
    assert search("Random").size >= 10_000
    assert search("Grid", {"CategoricalParameterRanges": []}).size == 1
    assert search("Grid", {}).ask(0) == {}


def test_a_grid_is_tried_in_the_order_of_its_values() -> None:
    each = [{"Name": "a", "Values": ["2", "1"]}, {"Name": "b", "Values": ["y", "x", "y"]}]
    here = search("Grid", {"CategoricalParameterRanges": each})
    assert [here.ask(count) for count in range(4)] == [
        {"a": "2", "b": "y"}, {"a": "2", "b": "x"}, {"a": "1", "b": "y"}, {"a": "1", "b": "x"}
    ]  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("strategy", ["Random", "Bayesian", "Hyperband"])
def test_a_training_job_without_a_result_is_nothing_to_warn_of(strategy: str) -> None:
    here = search(strategy)
    for count, objective in enumerate((None, math.nan, math.inf, -math.inf)):
        here.ask(count)
        here.tell(count, objective)
