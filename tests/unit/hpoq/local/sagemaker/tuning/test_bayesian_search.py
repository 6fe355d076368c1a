"""What a Bayesian search learns from results, failures and running training jobs."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from hpoq.local.sagemaker.tuning.gaussian_process import space_filling
from hpoq.local.sagemaker.tuning.suggest import HyperparameterSearch

SEED = 7
CATEGORY = {"CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b", "c"]}]}


def numbers(count: int) -> dict[str, Any]:
    """Return ranges of numbers from 0 to 1, whose values are their shares of the range."""
    each = {"MinValue": "0", "MaxValue": "1", "ScalingType": "Linear"}
    return {"ContinuousParameterRanges": [{"Name": f"x{n}", **each} for n in range(count)]}


def search(
    ranges: dict[str, Any], strategy: str = "Bayesian", *, maximize: bool = True
) -> HyperparameterSearch:
    return HyperparameterSearch({"Strategy": strategy}, ranges, maximize, SEED)


def x_of(values: dict[str, str]) -> float:
    return float(values["x0"])


@pytest.mark.parametrize(
    ("strategy", "ranges", "is_even"),
    [
        ("Bayesian", numbers(1), True),
        ("Bayesian", numbers(10), True),
        ("Bayesian", numbers(11), False),
        ("Bayesian", numbers(2) | CATEGORY, False),
        ("Random", numbers(1), False),
        ("Hyperband", numbers(1), False),
    ],
)
def test_a_bayesian_search_of_few_numbers_begins_with_evenly_spread_points(
    strategy: str, ranges: dict[str, Any], *, is_even: bool
) -> None:
    count = len(ranges["ContinuousParameterRanges"])
    here = search(ranges, strategy)
    for number in range(3):
        values = here.ask(number)
        point = [float(values[f"x{n}"]) for n in range(count)]
        assert (point == pytest.approx(space_filling(number, count, SEED))) is is_even


def test_a_search_of_categories_only_has_no_numbers_to_spread() -> None:
    here = search(CATEGORY)
    assert {here.ask(number)["c"] for number in range(20)} == {"a", "b", "c"}


def spread(here: HyperparameterSearch, number: int) -> bool:
    """Return whether the suggestion for a training job is one of the evenly spread points."""
    return x_of(here.ask(number)) == pytest.approx(space_filling(number, 1, SEED)[0])


def test_two_points_more_than_numbers_are_spread_before_the_search_learns() -> None:
    here = search(numbers(1))
    for number in range(3):
        assert spread(here, number)
        here.tell(number, 1.0)
    assert not spread(here, 3)


def test_the_search_learns_from_fewer_results_while_others_run() -> None:
    here = search(numbers(1))
    for number in range(3):
        assert spread(here, number)
    here.tell(0, 1.0)
    assert not spread(here, 3)


def test_points_are_spread_as_long_as_there_is_no_result() -> None:
    here = search(numbers(1))
    assert all(spread(here, number) for number in range(6))
    here.tell(0, 1.0)
    assert not spread(here, 6)


def test_failures_alone_teach_nothing() -> None:
    here = search(numbers(1))
    for number in range(6):
        assert spread(here, number)
        here.tell(number, None)


def test_a_search_that_knows_enough_results_of_parents_does_not_begin_with_spread_points() -> None:
    here = search(numbers(1))
    for number in range(2):
        here.add_result({"x0": f"0.{number + 1}"}, 0.1)
    assert spread(here, 0)
    here.add_result({"x0": "0.5"}, 0.1)
    assert not spread(here, 1)


def tried(here: HyperparameterSearch, count: int, objective: Any) -> list[float]:
    """Return the values of x that a tuning job tries, one after the other."""
    found = []
    for number in range(count):
        found.append(x_of(here.ask(number)))
        here.tell(number, objective(found[-1]))
    return found


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("optimum", [0.2, 0.71])
def test_a_search_finds_the_optimum_of_either_direction(*, maximize: bool, optimum: float) -> None:
    sign = -1 if maximize else 1
    here = search(numbers(1), maximize=maximize)
    found = tried(here, 14, lambda x: sign * (x - optimum) ** 2)
    assert min(abs(x - optimum) for x in found) < 0.01
    assert statistics.median(abs(x - optimum) for x in found[-6:]) < 0.15


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("maximize", [True, False])
def test_a_search_avoids_values_whose_training_jobs_have_no_result(
    nothing: float | None, *, maximize: bool
) -> None:
    """Those above a half fail, and the best of the others is just below it."""
    sign = 1 if maximize else -1
    here = search(numbers(1), maximize=maximize)
    found = tried(here, 14, lambda x: nothing if x > 0.5 else sign * x)
    assert sum(x > 0.5 for x in found[-8:]) <= 4
    assert max(x for x in found if x <= 0.5) > 0.4


def number_search() -> HyperparameterSearch:
    """Return a search with three results."""
    here = search(numbers(1))
    tried(here, 3, lambda x: -((x - 0.6) ** 2))
    return here


def test_training_jobs_that_run_at_once_are_spread() -> None:
    """One that runs alone tries the expected optimum, whatever its number is."""
    together = number_search()
    parallel = [x_of(together.ask(number)) for number in range(3, 7)]
    alone = [x_of(number_search().ask(number)) for number in range(3, 7)]
    assert max(parallel) - min(parallel) > 0.3
    assert max(alone) - min(alone) < 0.02


# Optuna's estimator, which searches categories, needs ten results before it uses them.
def category_search() -> HyperparameterSearch:
    here = search(numbers(1) | CATEGORY)
    for number in range(12):
        values = here.ask(number)
        here.tell(number, x_of(values) + (values["c"] == "b"))
    return here


def test_a_search_of_categories_prefers_the_best_one() -> None:
    here = category_search()
    found = []
    for number in range(12, 32):
        found.append(here.ask(number))
        here.tell(number, x_of(found[-1]) + (found[-1]["c"] == "b"))
    assert sum(each["c"] == "b" for each in found) > 10


def test_a_running_training_job_counts_as_tried_in_a_search_of_categories() -> None:
    alone, parallel = category_search(), category_search()
    for number in range(12, 18):
        parallel.add_running(number, {"x0": "0.9", "c": "b"})
    assert alone.ask(20) != parallel.ask(20)


def test_a_result_is_recorded_once_and_only_of_a_suggestion() -> None:
    here, same = search(numbers(1)), search(numbers(1))
    for number in range(4):
        assert here.ask(number) == same.ask(number)
        for _ in range(2):
            here.tell(number, 0.1 * number)
        here.tell(99, 5.0)  # was not suggested
        same.tell(number, 0.1 * number)
    assert here.ask(4) == same.ask(4)


def test_a_running_job_outside_the_ranges_is_not_told_its_result() -> None:
    here, same = search(numbers(1)), search(numbers(1))
    here.add_running(0, {"x0": "7"})
    here.tell(0, 1.0)
    assert [here.ask(number) for number in range(1, 6)] == [same.ask(n) for n in range(1, 6)]
