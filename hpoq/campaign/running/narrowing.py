"""Ranges that shrink around the best results of all jobs so far. Pure.

Warm start takes at most five parents and is not recursive. Ranges carry the results of any number
of trials into the next wave.
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
from hpoq.campaign.ranges import combinations, from_scale, scaling, to_scale
from hpoq.campaign.results.trial import Trial, ranked

Ranges = Mapping[str, Range]

BEST_SHARE = 0.1  # share of the usable trials that determines the next ranges
MIN_BEST = 5  # ranges shrink only with at least this many best trials
MARGIN = 0.1  # of the full width, on each side: the optimum may lie outside the best so far
MIN_WIDTH = 0.15  # of the full width: no range becomes narrower


def narrowed(
    ranges: Ranges, trials: Sequence[Trial], *, maximize: bool, points: int = 1
) -> dict[str, Range]:
    """Return the ranges of the next wave.

    Args:
        ranges: the campaign's own ranges, which the result stays within.
        trials: trials of all jobs so far; those without a finite objective are ignored.
        maximize: whether a greater objective is better.
        points: different points that a tuning job needs, at least; SageMaker rejects fewer.

    Returns:
        Ranges around the best tenth of the trials; the given ranges for fewer than fifty trials.
    """
    usable = ranked(trials, maximize=maximize)
    best = usable[: math.floor(len(usable) * BEST_SHARE)]
    if len(best) < MIN_BEST:
        return dict(ranges)
    narrow = {
        name: _around([t.hyperparameters[name] for t in best if name in t.hyperparameters], each)
        for name, each in ranges.items()
    }
    return _with_points(narrow, ranges, points)


def _with_points(narrow: Ranges, full: Ranges, points: int) -> dict[str, Range]:
    """Return the ranges with enough points, by giving back as few full ranges as possible."""
    found = dict(narrow)
    sizes = {name: combinations({name: each}) for name, each in full.items()}
    for name in sorted(full, key=lambda each: -sizes[each]):
        if combinations(found) >= points:
            break
        found[name] = full[name]
    return found


def _around(values: Sequence[str], full: Range) -> Range:
    if not values:
        return full
    if isinstance(full, CategoricalRange):
        return _used_values(values, full)
    numbers = [float(value.strip('"')) for value in values]
    kind = scaling(full)
    low, high = to_scale(kind, float(full.min)), to_scale(kind, float(full.max))
    width = high - low
    points = [min(max(to_scale(kind, number), low), high) for number in numbers]
    left, right = min(points) - MARGIN * width, max(points) + MARGIN * width
    lacking = max(0.0, MIN_WIDTH * width - (right - left)) / 2
    left, right = max(low, left - lacking), min(high, right + lacking)
    return _cut(full, from_scale(kind, left), from_scale(kind, right))


def _used_values(values: Sequence[str], full: CategoricalRange) -> Range:
    """Keep the values that at least one of the best trials used."""
    bare = {value.strip('"') for value in values}
    kept = tuple(value for value in full.values if wire_value(value).strip('"') in bare)
    return full.model_copy(update={"values": kept}) if kept else full


def _cut(full: ContinuousRange | IntegerRange, low: float, high: float) -> Range:
    if isinstance(full, IntegerRange):
        first, last = max(full.min, math.floor(low)), min(full.max, math.ceil(high))
        return full.model_copy(update={"min": first, "max": last}) if first < last else full
    left, right = max(float(full.min), low), min(float(full.max), high)
    return full.model_copy(update={"min": left, "max": right}) if left < right else full
