"""A few trials now, to learn how long one takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Plan
from hpoq.campaign.planning import campaign_of, planned

if TYPE_CHECKING:
    import pandas as pd

_SUFFIX = "-pilot"
_ROOM = 20  # of a campaign's name, see NAME_PATTERN


def pilot_of(wanted: Mapping[str, Any], trials: int, guess: float) -> Plan:
    """One tuning job of a few trials, named after the campaign.

    Random: what is measured is the time over the whole ranges.
    """
    request = {**wanted["request"], "strategy": "Random"}
    name = wanted["name"][: _ROOM - len(_SUFFIX)].rstrip("-") + _SUFFIX
    fields = {**wanted, "request": request, "name": name}
    return planned(campaign_of(**fields, trials=trials, minutes_per_trial=guess), "single")


def measure(table: pd.DataFrame) -> tuple[float, float]:
    """Mean minutes and the standard deviation of their logarithm.

    Raises:
        InvalidPlan: no trial completed.
    """
    minutes = [m for m in table.loc[table["status"] == "Completed", "minutes"] if m > 0]
    if not minutes:
        reasons = ", ".join(sorted(set(table["reason"]) - {""})) or "no reason given"
        raise InvalidPlan(f"no trial of the pilot completed: {reasons}")
    logarithms = [math.log(m) for m in minutes]
    middle = sum(logarithms) / len(logarithms)
    variance = sum((each - middle) ** 2 for each in logarithms) / max(1, len(logarithms) - 1)
    return sum(minutes) / len(minutes), math.sqrt(variance)
