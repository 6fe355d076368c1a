"""Trials that no other trial beats in every respect: the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hpoq.campaign.model import MEASURED, Campaign, Direction
from hpoq.campaign.results.table import METRIC

if TYPE_CHECKING:
    import pandas as pd

OBJECTIVE = "objective"


def column_of(metric: str) -> str:
    """Return the column of the table that holds a further metric."""
    return metric if metric in MEASURED else METRIC + metric


def directions(campaign: Campaign) -> dict[str, Direction]:
    """Return the direction of the objective and of each further metric, by column."""
    first: Direction = "Maximize" if campaign.maximize else "Minimize"
    further = {column_of(name): each for name, each in campaign.further_metrics.items()}
    return {OBJECTIVE: first, **further}


def front(table: pd.DataFrame, wanted: Mapping[str, Direction]) -> pd.DataFrame:
    """Return the usable trials that are on the Pareto front, best objective first.

    A trial is on the front unless another trial is at least as good in every column and better in
    one. A trial without a value in one of the columns is left out.

    Args:
        table: from ``hpoq.campaign.results.table.frame``.
        wanted: the direction of each column, the most important one first.
    """
    import numpy as np

    complete = table[table["usable"]].dropna(subset=list(wanted))
    signs = [1.0 if each == "Minimize" else -1.0 for each in wanted.values()]
    costs = complete[list(wanted)].to_numpy(dtype="float64") * signs  # less is better
    # In lexicographic order, no trial is beaten by a later one that differs from it.
    order = np.lexsort(costs.T[::-1])
    kept = np.empty((0, len(wanted)))
    on_front = []
    for position in order:
        point = costs[position]
        beaten = (kept <= point).all(axis=1) & (kept < point).any(axis=1)
        if not beaten.any():
            kept = np.vstack([kept, point])
            on_front.append(position)
    return complete.iloc[on_front]
