"""The axes of hyperparameters: positions in the scale in which a search draws evenly. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.request import CategoricalRange, ContinuousRange, IntegerRange, Range
from hpoq.campaign.ranges import scaling

if TYPE_CHECKING:
    import pandas as pd

LABELS = 5  # on an axis at most, so that they do not overlap in a narrow figure
Ticks = list[tuple[float, str]]


@dataclass(frozen=True, kw_only=True)
class SearchedAxis:
    """The axis of one hyperparameter.

    Attributes:
        low: position of its lower end.
        high: position of its upper end.
        ticks: positions and texts of labels; None: round numbers, as the drawing chooses them.
        at: returns the positions of a column's values.
    """

    low: float
    high: float
    ticks: Ticks | None
    at: Callable[[pd.Series[Any]], pd.Series[Any]]


def axis_of(each: Range) -> SearchedAxis:
    """Return the axis of a range."""
    if isinstance(each, CategoricalRange):
        labels = [str(value) for value in each.values]
        ticks = [(float(place), label) for place, label in enumerate(labels)]
        return SearchedAxis(
            low=-0.5,
            high=len(labels) - 0.5,
            ticks=ticks,
            at=lambda column: places(column, labels),
        )
    return _numeric(each)


def _numeric(each: ContinuousRange | IntegerRange) -> SearchedAxis:
    low, high = float(each.min), float(each.max)
    match scaling(each):
        case "Logarithmic":
            low, high = math.log10(low), math.log10(high)
            return SearchedAxis(low=low, high=high, ticks=decades(low, high), at=_mapped(_log))
        case "ReverseLogarithmic":
            low, high = _reverse_log(low), _reverse_log(high)
            ticks = reverse_decades(low, high)
            return SearchedAxis(low=low, high=high, ticks=ticks, at=_mapped(_reverse_log))
        case _:
            return SearchedAxis(low=low, high=high, ticks=None, at=_mapped(float))


def decades(low: float, high: float) -> Ticks:
    """Return labels of a logarithmic axis: powers of ten, or if too few, both ends and the middle.

    Args:
        low: logarithm of the lower end.
        high: logarithm of the upper end.
    """
    return [(at, shown(10**at)) for at in _whole(low, high) or (low, (low + high) / 2, high)]


def reverse_decades(low: float, high: float) -> Ticks:
    """Return labels of an axis that stretches toward 1: 0.9, 0.99, 0.999.

    Args:
        low: negative logarithm of what the lower end lacks to 1.
        high: the same of the upper end.
    """
    found = _whole(low, high) or (low, (low + high) / 2, high)
    return [(at, f"{1 - 10**-at:.{max(1, math.ceil(at))}f}" if at else "0") for at in found]


def shown(value: float) -> str:
    """Return a number for the label of an axis."""
    if 1_000 <= abs(value) < 1_000_000:
        return f"{value:,.0f}"
    return f"{value:.3g}".replace("e+0", "e").replace("e+", "e")


def time_unit(hours: float) -> tuple[str, float]:
    """Return the unit to show a time span in, and its length in hours."""
    units = (("hours", 1.0), ("minutes", 1 / 60), ("seconds", 1 / 3600))
    return next((each for each in units if hours >= 2 * each[1]), units[-1])


def places(column: pd.Series[Any], labels: list[str]) -> pd.Series[Any]:
    """Return positions for values without an order, spread a little."""
    middles = column.astype(str).map({label: float(at) for at, label in enumerate(labels)})
    # multiples of the golden ratio fill an interval evenly and reproducibly
    spread = [(number * 0.618034) % 1 - 0.5 for number in range(len(column))]
    return middles.astype("float64") + [0.5 * each for each in spread]


def _whole(low: float, high: float) -> list[float]:
    """Return whole numbers between two others, evenly thinned; empty if there is only one."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    count = last - first + 1
    if count < 2:
        return []
    step = -(-count // LABELS)
    return [float(each) for each in range(first, last + 1, step)]


def _mapped(to: Callable[[float], float]) -> Callable[[pd.Series[Any]], pd.Series[Any]]:
    return lambda column: column.astype("float64").map(to)


def _log(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan


def _reverse_log(value: float) -> float:
    return -math.log10(1 - value) if value < 1 else math.nan
