"""The scales and the sizes of hyperparameter ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hpo_dispatcher.contract.request import CategoricalRange, ContinuousRange, IntegerRange, Range

# SageMaker and hpoq local treat Auto as logarithmic from three decades on.
AUTO_LOGARITHMIC_RATIO = 1000.0


def scaling(each: ContinuousRange | IntegerRange) -> str:
    """Return the scaling in effect, with ``Auto`` resolved."""
    if each.scaling != "Auto":
        return each.scaling
    wide = each.min > 0 and each.max / each.min >= AUTO_LOGARITHMIC_RATIO
    return "Logarithmic" if wide else "Linear"


def to_scale(kind: str, value: float) -> float:
    """Transform a value to the scale in which the search draws evenly."""
    if kind == "Logarithmic":
        return math.log(value)
    return -math.log1p(-value) if kind == "ReverseLogarithmic" else value


def from_scale(kind: str, value: float) -> float:
    """Transform a value back from the scale in which the search draws evenly."""
    if kind == "Logarithmic":
        return math.exp(value)
    return -math.expm1(-value) if kind == "ReverseLogarithmic" else value


def combinations(ranges: Mapping[str, Range]) -> float:
    """Return the number of different points; infinity with a continuous range.

    SageMaker rejects a tuning job with more training jobs than points: "You don't have enough
    combinations of hyperparameter ranges" (aws/amazon-sagemaker-operator-for-k8s issue 123).
    """
    return math.prod(_points(each) for each in ranges.values())


def _points(each: Range) -> float:
    match each:
        case CategoricalRange(values=values):
            return len(values)
        case IntegerRange():
            return each.max - each.min + 1
        case ContinuousRange():
            return math.inf


def problem_with_setting(ranges: Mapping[str, Range], setting: Mapping[str, Any]) -> str:
    """Return why values of hyperparameters are no point of the ranges; empty if they are."""
    for name in setting:
        if name not in ranges:
            return f"{name} is not searched. Remove it"
    for name, each in ranges.items():
        if name not in setting:
            return f"{name} is missing. Give each searched hyperparameter"
        if problem := problem_with_value(each, setting[name]):
            return f"{name}: {problem}"
    return ""


def problem_with_value(each: Range, value: Any) -> str:
    """Return why a range does not have a value; empty if it does."""
    if isinstance(each, CategoricalRange):
        return "" if value in each.values else f"{value!r} is not one of its values"
    wanted = int if isinstance(each, IntegerRange) else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        kind = "a whole number" if isinstance(each, IntegerRange) else "a number"
        return f"{value!r} is not {kind}"
    if each.min <= value <= each.max:
        return ""
    return f"{value} is outside of {each.min} to {each.max}"
