"""The Pareto front."""

from __future__ import annotations

import itertools
import random
from typing import Any, Literal

import pandas as pd
import pytest

from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.results.pareto import column_of, directions, front
from hpoq.campaign.results.table import frame
from hpoq.campaign.results.trial import Trial

REQUEST: dict[str, Any] = {
    "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0, "max": 1}},
    "objective": {"metric": "auc", "type": "Maximize"},
}


def table_of(*points: tuple[Any, ...], **further: Literal["Maximize", "Minimize"]) -> Any:
    """Return the campaign and the table of trials with these values: the objective first."""
    campaign = campaign_of(
        name="c", trials=max(1, len(points)), minutes_per_trial=1, request=REQUEST,
        further_metrics=further,
    )  # fmt: skip
    trials = [
        Trial(
            name=f"t{n}", job=1, status="Completed", hyperparameters={"lr": "0.5"},
            objective=point[0],
            metrics={k: v for k, v in zip(further, point[1:], strict=True) if v is not None},
        )
        for n, point in enumerate(points)
    ]  # fmt: skip
    return campaign, frame(planned(campaign, "single"), trials)


def names(table: pd.DataFrame) -> list[str]:
    return table["trial"].tolist()


def test_the_front_has_the_trials_that_no_other_trial_beats() -> None:
    campaign, table = table_of(
        (0.9, 50.0), (0.8, 10.0), (0.7, 20.0), (0.95, 90.0), (0.9, 60.0), (0.8, 10.0),
        latency="Minimize",
    )  # fmt: skip
    wanted = directions(campaign)
    assert wanted == {"objective": "Maximize", "metric.latency": "Minimize"}
    assert names(front(table, wanted)) == ["t3", "t0", "t1", "t5"]


def test_trials_without_a_value_are_left_out_of_the_front_and_kept_in_the_table() -> None:
    campaign, table = table_of((0.9, None), (0.8, 10.0), (None, 1.0), latency="Minimize")
    assert names(front(table, directions(campaign))) == ["t1"]
    assert table["metric.latency"].isna().tolist() == [True, False, False]


def test_the_front_of_several_metrics_is_that_of_comparing_all_pairs() -> None:
    draws = random.Random(0)
    points = [tuple(draws.randint(0, 9) / 10 for _ in range(3)) for _ in range(120)]
    campaign, table = table_of(*points, size="Minimize", recall="Maximize")

    def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        better = (a[0] - b[0], b[1] - a[1], a[2] - b[2])
        return min(better) >= 0 and max(better) > 0

    beaten = {b for a, b in itertools.permutations(points, 2) if beats(a, b)}
    expected = {f"t{n}" for n, point in enumerate(points) if point not in beaten}
    assert set(names(front(table, directions(campaign)))) == expected


def test_minutes_and_cost_are_columns_that_every_trial_has() -> None:
    assert [column_of(name) for name in ("minutes", "cost", "latency")] == [
        "minutes", "cost", "metric.latency",
    ]  # fmt: skip
    campaign, table = table_of((0.5,), **{})
    assert campaign.logged_metrics == []
    assert not [name for name in table.columns if name.startswith("metric.")]


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ({"auc": "Minimize"}, "auc is the objective"),
        ({"latency": "Lower"}, "further_metrics.latency"),
    ],
)
def test_wrong_metrics_are_named(further: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidPlan, match=said):
        table_of((0.5,), **further)
