"""The tables of trials."""

from __future__ import annotations

import math

import pandas as pd

from hpoq.cli.campaign.tables import best_trials


def test_a_hyperparameter_of_another_model_is_empty() -> None:
    trials = pd.DataFrame(
        {
            "rank": [1, 2], "model": ["tree", "network"], "trial": ["a", "b"], "wave": [1, 1],
            "objective": [0.9, 0.8], "minutes": [1.0, 2.0], "usable": [True, True],
            "hp.lr": [math.nan, 0.01], "hp.criterion": ["gini", None],
        }
    )  # fmt: skip
    _, lr, criterion = [list(each.cells) for each in best_trials(trials, 2).columns][-3:]
    assert (lr, criterion) == (["", "0.01"], ["gini", ""])
