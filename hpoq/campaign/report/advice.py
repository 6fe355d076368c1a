"""What to do next after a campaign, in sentences that follow from its trials."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo_dispatcher.contract.request import CategoricalRange, ContinuousRange, IntegerRange
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.ranges import scaling, to_scale
from hpoq.campaign.results.table import SEARCHED

if TYPE_CHECKING:
    import pandas as pd

BEST_SHARE = 0.05  # of the usable trials, whose values show where the optimum is
MIN_TRIALS = 40
EDGE = 0.05  # of a range's width, from its end
UNIMPORTANT = 0.05  # share of the explained variation, even at the upper end of its interval
ORDERS = 200  # random orders of the trials, which show what a doubling gains


@dataclass(frozen=True, kw_only=True)
class Importance:
    """A hyperparameter's share of the explained variation, with its 80 % interval."""

    share: float
    low: float
    high: float


def advice(
    plan: CampaignPlan, table: pd.DataFrame, importances: Mapping[str, Importance]
) -> list[str]:
    """Return what to change in the next campaign; empty for too few trials to tell."""
    usable = table[table["usable"]]
    if len(usable) < MIN_TRIALS:
        return []
    best = usable.nsmallest(max(5, round(len(usable) * BEST_SHARE)), "rank")
    ranges = plan.campaign.template_request.hyperparameter_ranges
    found = [
        sentence
        for name, each in ranges.items()
        if not isinstance(each, CategoricalRange)
        and (sentence := _at_edge(name, each, best[SEARCHED + name].dropna().tolist()))
    ]
    unimportant = [name for name, each in importances.items() if each.high < UNIMPORTANT]
    if unimportant and len(unimportant) < len(ranges):
        found.append(
            f"{', '.join(unimportant)}: made little difference in these ranges. Fix the value of "
            "the best trial, and search fewer hyperparameters."
        )
    found.append(_more_trials(usable["objective"].tolist(), maximize=plan.campaign.maximize))
    return found


def _at_edge(name: str, each: ContinuousRange | IntegerRange, values: Sequence[float]) -> str:
    """Return that the best trials lie at an end of a range; empty if they do not."""
    if not values:
        return ""
    kind = scaling(each)
    low, high = to_scale(kind, float(each.min)), to_scale(kind, float(each.max))
    points = sorted((to_scale(kind, float(value)) - low) / (high - low) for value in values)
    middle = points[len(points) // 2]
    if middle > 1 - EDGE:
        return f"{name}: the best trials are at the upper end, {each.max:g}. Try greater values."
    if middle < EDGE:
        return f"{name}: the best trials are at the lower end, {each.min:g}. Try smaller values."
    return ""


def gain_of_doubling(objectives: Sequence[float], *, maximize: bool) -> tuple[float, float, float]:
    """Return what the second half of the trials gained: the median and an 80 % interval.

    The trials are taken in random orders, as if each had been drawn independently.
    """
    source = random.Random(0)  # noqa: S311  the same report for the same trials
    sign = 1.0 if maximize else -1.0
    values = [sign * value for value in objectives]
    best = max(values)
    half = len(values) // 2
    gains = sorted(best - max(source.sample(values, half)) for _ in range(ORDERS))
    return gains[ORDERS // 2], gains[ORDERS // 10], gains[ORDERS * 9 // 10]


def _more_trials(objectives: Sequence[float], *, maximize: bool) -> str:
    middle, low, high = gain_of_doubling(objectives, maximize=maximize)
    spread = sorted(objectives)
    noise = abs(spread[len(spread) * 9 // 10] - spread[len(spread) // 10])
    gained = (
        f"the second half of the trials improved the best objective by {middle:.2g} "
        f"({low:.2g} to {high:.2g} in eight of ten orders)"
    )
    if high <= 0.01 * noise:
        return f"More trials: hardly worth it; {gained}. Twice as many would gain less than that."
    if middle == 0:
        return (
            "More trials: probably not worth it; in most random orders, the second half of the "
            f"trials improved nothing, and in nine of ten at most {high:.2g}."
        )
    return f"More trials: {gained}. Twice as many would probably gain about half as much."
