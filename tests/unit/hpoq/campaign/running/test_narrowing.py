from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from hpo_dispatcher.contract.request import CategoricalRange, ContinuousRange, IntegerRange, Range
from hpoq.campaign.ranges import combinations
from hpoq.campaign.results.trial import Trial
from hpoq.campaign.running.narrowing import narrowed

LR: Range = ContinuousRange(type="continuous", min=1e-4, max=1.0, scaling="Logarithmic")
WIDTH: Range = IntegerRange(type="integer", min=1, max=64)
KIND: Range = CategoricalRange(type="categorical", values=("a", "b", "c"))


def trials(*pairs: tuple[dict[str, str], float | None]) -> list[Trial]:
    return [
        Trial(name=str(i), job=1, status="Completed", hyperparameters=values, objective=objective)
        for i, (values, objective) in enumerate(pairs)
    ]


def around(middle: float, count: int = 200) -> list[Trial]:
    values = [1e-4 * 1e4 ** (i / (count - 1)) for i in range(count)]
    return trials(*(({"lr": repr(v)}, -abs(math.log10(v / middle))) for v in values))


def test_ranges_shrink_around_the_best() -> None:
    lr = narrowed({"lr": LR}, around(0.01), maximize=True)["lr"]
    assert isinstance(lr, ContinuousRange)
    assert 1e-4 < lr.min < 0.01 < lr.max < 0.2


def test_minimizing_shrinks_around_the_smallest() -> None:
    found = [
        Trial(
            name=t.name,
            job=1,
            status=t.status,
            hyperparameters=t.hyperparameters,
            objective=-(t.objective or 0),
        )
        for t in around(0.01)
    ]
    lr = narrowed({"lr": LR}, found, maximize=False)["lr"]
    assert isinstance(lr, ContinuousRange)
    assert 1e-4 < lr.min < 0.01 < lr.max < 0.2


def test_ranges_stay_with_few_results() -> None:
    assert narrowed({"lr": LR}, around(0.01, count=49), maximize=True) == {"lr": LR}


def test_failed_and_nan_trials_are_ignored() -> None:
    bad = trials(*(({"lr": "0.5"}, value) for value in (None, math.nan, math.inf) * 90))
    with_bad = narrowed({"lr": LR}, [*bad, *around(0.01)], maximize=True)
    assert with_bad == narrowed({"lr": LR}, around(0.01), maximize=True)


def test_categorical_values_without_a_best_trial_are_left_out() -> None:
    found = trials(*(({"kind": '"b"' if i < 40 else "c"}, -float(i)) for i in range(200)))
    kind = narrowed({"kind": KIND}, found, maximize=True)["kind"]
    assert isinstance(kind, CategoricalRange)
    assert kind.values == ("b",)


numbers = st.floats(1e-4, 1.0)


@given(st.lists(st.tuples(numbers, st.integers(1, 64), st.floats(-1, 1)), min_size=50, max_size=90))
def test_narrowed_ranges_are_valid_and_stay_inside(found: list[tuple[float, int, float]]) -> None:
    given_trials = trials(*(({"lr": repr(a), "width": str(b)}, c) for a, b, c in found))
    for name, each in narrowed({"lr": LR, "width": WIDTH}, given_trials, maximize=True).items():
        fields: Any = each.model_dump(mode="json")
        assert TypeAdapter(Range).validate_python(fields) == each
        full: Any = {"lr": LR, "width": WIDTH}[name]
        assert full.min <= fields["min"] < fields["max"] <= full.max


def test_narrowed_ranges_keep_a_point_for_each_trial_of_a_tuning_job() -> None:
    ranges: dict[str, Range] = {
        "depth": IntegerRange(type="integer", min=1, max=20),
        "kind": CategoricalRange(type="categorical", values=("a", "b", "c")),
    }
    found = [
        Trial(
            name=str(number), job=1, status="Completed", objective=-abs(depth - 7.0),
            hyperparameters={"depth": str(depth), "kind": "a"},
        )
        for number, depth in enumerate(list(range(1, 21)) * 5)
    ]  # fmt: skip

    def points(needed: int) -> float:
        return combinations(narrowed(ranges, found, maximize=True, points=needed))

    assert points(1) < 10
    for needed in (10, 20, 21, 45, 60):
        assert points(needed) >= needed
    assert points(20) == 20, "the widest range alone is given back"
