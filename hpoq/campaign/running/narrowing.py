"""Ranges shrink around the best results of all jobs so far. Pure.

Warm start takes five parents and is not recursive; ranges carry what thousands of trials have
taught into the next wave, whatever searched them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hpo_dispatcher.contract.request import (
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    Range,
    wire_value,
)
from hpoq.campaign.results.trial import Trial, ranked

Ranges = Mapping[str, Range]

BEST_SHARE = 0.1  # of the usable trials decides where the next wave looks
FEWEST = 5  # best trials that must agree before anything shrinks
MARGIN = 0.1  # of the full width, on each side: the optimum may lie beyond the best so far
FLOOR = 0.15  # of the full width: no range becomes narrower
# SageMaker and hpoq local take Auto as logarithmic from three decades on.
AUTO_LOGARITHMIC = 1000.0


def narrowed(ranges: Ranges, trials: Sequence[Trial], *, maximize: bool) -> dict[str, Range]:
    """The ranges of the next wave.

    Args:
        ranges: the campaign's own; the result never leaves them.
        trials: of all jobs so far; those without objective are ignored.
        maximize: whether a greater objective is better.

    Returns:
        Ranges around the best tenth; the given ones while there are fewer than fifty trials.
    """
    usable = ranked(trials, maximize=maximize)
    best = usable[: math.floor(len(usable) * BEST_SHARE)]
    if len(best) < FEWEST:
        return dict(ranges)
    return {
        name: _around([t.hyperparameters[name] for t in best if name in t.hyperparameters], each)
        for name, each in ranges.items()
    }


def _around(values: Sequence[str], full: Range) -> Range:
    if not values:
        return full
    if isinstance(full, CategoricalRange):
        return _seen(values, full)
    numbers = [float(value.strip('"')) for value in values]
    kind = scaling(full)
    low, high = _scale(kind, float(full.min)), _scale(kind, float(full.max))
    width = high - low
    points = [min(max(_scale(kind, number), low), high) for number in numbers]
    left, right = min(points) - MARGIN * width, max(points) + MARGIN * width
    lacking = max(0.0, FLOOR * width - (right - left)) / 2
    left, right = max(low, left - lacking), min(high, right + lacking)
    return _cut(full, _unscale(kind, left), _unscale(kind, right))


def _seen(values: Sequence[str], full: CategoricalRange) -> Range:
    """Values that none of the best has are left out."""
    bare = {value.strip('"') for value in values}
    kept = tuple(value for value in full.values if wire_value(value).strip('"') in bare)
    return full.model_copy(update={"values": kept}) if kept else full


def _cut(full: ContinuousRange | IntegerRange, low: float, high: float) -> Range:
    if isinstance(full, IntegerRange):
        least, most = max(full.min, math.floor(low)), min(full.max, math.ceil(high))
        if least >= most:
            return full
        return full.model_copy(update={"min": least, "max": most})
    least_, most_ = max(float(full.min), low), min(float(full.max), high)
    return full.model_copy(update={"min": least_, "max": most_}) if least_ < most_ else full


def _scale(kind: str, value: float) -> float:
    """To the scale in which the search draws evenly."""
    if kind == "Logarithmic":
        return math.log(value)
    return -math.log1p(-value) if kind == "ReverseLogarithmic" else value


def _unscale(kind: str, value: float) -> float:
    if kind == "Logarithmic":
        return math.exp(value)
    return -math.expm1(-value) if kind == "ReverseLogarithmic" else value


def scaling(full: ContinuousRange | IntegerRange) -> str:
    """The scaling in force, Auto resolved."""
    if full.scaling != "Auto":
        return full.scaling
    wide = full.min > 0 and full.max / full.min >= AUTO_LOGARITHMIC
    return "Logarithmic" if wide else "Linear"
