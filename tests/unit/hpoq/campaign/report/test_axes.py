"""The axes of hyperparameters."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from hpo_dispatcher.contract.request import CategoricalRange, ContinuousRange, IntegerRange
from hpoq.campaign.report.axes import axis_of, decades, shown


def continuous(low: float, high: float, scaling: Any) -> ContinuousRange:
    return ContinuousRange(type="continuous", min=low, max=high, scaling=scaling)


@pytest.mark.parametrize(
    ("low", "high", "labelled"),
    [
        (1e-4, 0.1, ["0.0001", "0.001", "0.01", "0.1"]),
        (2e-4, 0.1, ["0.001", "0.01", "0.1"]),
        (128, 2048, ["128", "512", "2,048"]),
        (1e-8, 1e-6, ["1e-08", "1e-07", "1e-06"]),
        (1e-9, 1.0, ["1e-09", "1e-07", "1e-05", "0.001", "0.1"]),  # as many as fit
        (1, 1e8, ["1", "100", "10,000", "1e6", "1e8"]),
    ],
)
def test_logarithmic_axes_are_labelled_at_powers_of_ten(
    low: float, high: float, labelled: list[str]
) -> None:
    found = decades(math.log10(low), math.log10(high))
    assert [label for _, label in found] == labelled
    axis = axis_of(continuous(low, high, "Logarithmic"))
    assert axis.ticks == found
    assert (axis.low, axis.high) == (math.log10(low), math.log10(high))


@pytest.mark.parametrize(
    ("low", "high", "labelled"),
    [
        (0.0, 0.999, ["0", "0.9", "0.99", "0.999"]),
        (0.5, 0.9999, ["0.9", "0.99", "0.999", "0.9999"]),
        (0.8, 0.98, ["0.8", "0.94", "0.98"]),
    ],
)
def test_reverse_logarithmic_axes_stretch_toward_one(
    low: float, high: float, labelled: list[str]
) -> None:
    """SageMaker draws evenly in 1 - x on a logarithmic scale: "Reverse logarithmic scaling" in
    Define Hyperparameter Ranges, Amazon SageMaker AI Developer Guide."""
    axis = axis_of(continuous(low, high, "ReverseLogarithmic"))
    assert [label for _, label in axis.ticks or ()] == labelled
    steps = axis.at(pd.Series([0.9, 0.99, 0.999])).tolist()
    assert steps == pytest.approx([1, 2, 3])
    places = {label: at for at, label in axis.ticks or ()}
    for label, at in places.items():
        assert at == pytest.approx(axis.at(pd.Series([float(label)])).iloc[0], abs=0.03)


def test_linear_axes_are_labelled_by_the_drawing() -> None:
    axis = axis_of(IntegerRange(type="integer", min=2, max=9))
    assert (axis.low, axis.high, axis.ticks) == (2, 9, None)
    assert axis.at(pd.Series([3, 5], dtype="Int64")).tolist() == [3.0, 5.0]


def test_values_without_an_order_are_drawn_side_by_side() -> None:
    axis = axis_of(CategoricalRange(type="categorical", values=["adam", "sgd"]))
    labels = [label for _, label in axis.ticks or ()]
    assert labels == ["adam", "sgd"]
    column = pd.Series(["sgd", "adam"] * 100)
    places = axis.at(column)
    assert [labels[round(place)] for place in places] == list(column)
    assert places.between(axis.low, axis.high).all()
    assert places.nunique() > 190


@pytest.mark.parametrize(
    ("value", "text"), [(1e-7, "1e-07"), (0.05, "0.05"), (2048, "2,048"), (3e9, "3e9")]
)
def test_labels_keep_the_digits_of_small_and_large_numbers(value: float, text: str) -> None:
    assert shown(value) == text
