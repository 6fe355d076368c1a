"""Learning curves as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from hpoq.campaign.results.curves import chosen, curves_frame


def table_of(count: int, prefix: str = "t") -> pd.DataFrame:
    """Return usable trials, the best one last, and one without a rank."""
    names = [f"{prefix}{n}" for n in range(count, 0, -1)]
    found: Any = pd.DataFrame(
        {"trial": names, "usable": True, "rank": pd.array(range(count, 0, -1), dtype="Int64")}
    )
    failed = pd.DataFrame({"trial": ["failed"], "usable": [False], "rank": [pd.NA]})
    return pd.concat([found, failed], ignore_index=True)


@pytest.mark.parametrize(
    ("trials", "most", "ranks"),
    [
        (100, 6, [1, 2, 3, 35, 67, 100]),
        (100, 5, [1, 2, 3, 51, 100]),
        (4, 20, [1, 2, 3, 4]),
        (1, 20, [1]),
        (0, 20, []),
        (100, 1, [1]),
    ],
)
def test_the_logs_of_the_best_trials_and_of_some_others_are_read(
    trials: int, most: int, ranks: list[int]
) -> None:
    assert list(chosen(table_of(trials), most).values()) == ranks


def test_trials_that_share_a_log_are_left_out() -> None:
    assert chosen(table_of(4, "job/"), 20) == {}


def test_each_value_is_a_row() -> None:
    found = {"a": {"loss": (range(1, 3), [0.9, 0.5])}, "b": {}}
    table = curves_frame(found, {"a": 1, "b": 2})
    assert table.to_dict("records") == [
        {"trial": "a", "rank": 1, "metric": "loss", "number": 1, "value": 0.9},
        {"trial": "a", "rank": 1, "metric": "loss", "number": 2, "value": 0.5},
    ]
