"""The scales and the sizes of hyperparameter ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping

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
