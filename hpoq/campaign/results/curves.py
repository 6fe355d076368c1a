"""Learning curves: the values of each metric in the order in which trials printed them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpoq.results.measured import Series

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("trial", "rank", "metric", "number", "value")


@dataclass(frozen=True, kw_only=True)
class LearningCurves:
    """The learning curves of some trials of a campaign.

    Attributes:
        table: one row per value; columns trial, rank (of the trial), metric, number (from 1, in the
            order printed) and value.
        note: why there are none; empty if there are some.
    """

    table: pd.DataFrame
    note: str = ""


def chosen(table: pd.DataFrame, most: int) -> dict[str, int]:
    """Return the ranks of the trials to read, by name: the better half, and some of all others.

    Ray's trials are left out, because all trials of a training job share a log.
    """
    own = table[table["usable"] & ~table["trial"].str.contains("/")].sort_values("rank")
    count = min(most, len(own))
    best = -(-count // 2)
    rest, wanted = len(own) - best, count - best
    positions = [*range(best), *(best + (each + 1) * rest // wanted - 1 for each in range(wanted))]
    shown = own.iloc[positions]
    return dict(zip(shown["trial"], shown["rank"].astype(int), strict=True))


def curves_frame(found: Mapping[str, Series], ranks: Mapping[str, int]) -> pd.DataFrame:
    """Return one table of all curves.

    Args:
        found: the curves by metric, of each trial.
        ranks: the rank of each trial.
    """
    import pandas as pd

    rows = [
        (trial, ranks[trial], metric, number, value)
        for trial, series in found.items()
        for metric, (numbers, values) in series.items()
        for number, value in zip(numbers, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
