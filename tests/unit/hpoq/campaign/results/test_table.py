from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.fabricated import REQUEST, trials
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.planning.pilot import measure, pilot_of
from hpoq.campaign.results.optuna_study import export
from hpoq.campaign.results.table import best, frame, save
from hpoq.campaign.results.trial import Trial

AT = datetime(2026, 11, 23, 9, tzinfo=UTC)


def plan_of(count: int, goal: str = "Maximize", **request: Any) -> CampaignPlan:
    objective = {"metric": "validation:auc", "type": goal}
    campaign = campaign_of(
        name="credit", trials=count, minutes_per_trial=5, limits={"instances": 100},
        request={**REQUEST, "objective": objective, **request},
    )  # fmt: skip
    return planned(campaign, "independent")


def trial(name: str, objective: float | None, status: str = "Completed", **changes: Any) -> Trial:
    values = {"lr": "0.01", "dropout": "0.1", "batch-size": "64.0", "optimizer": '"sgd"'}
    fields = {
        "name": name, "job": 1, "status": status, "hyperparameters": values, "objective": objective,
        "created_at": AT, "started_at": AT, "ended_at": AT.replace(hour=10),
    }  # fmt: skip
    return Trial(**{**fields, **changes})


def test_the_best_trial_follows_the_goal_of_the_objective() -> None:
    found = [trial("a", 0.5), trial("b", 0.9), trial("c", 0.1)]
    for goal, first in (("Maximize", "b"), ("Minimize", "c")):
        row = best(frame(plan_of(10, goal), found))
        assert row is not None
        assert row["trial"] == first


def test_failed_and_nan_trials_are_kept_and_marked() -> None:
    found = [
        trial("good", 0.5),
        trial("nan", math.nan),
        trial("failed", None, "Failed", reason="out of memory"),
        trial("waits", None, "InProgress", started_at=None, ended_at=None),
    ]
    table = frame(plan_of(10), found).set_index("trial")
    assert table["usable"].to_dict() == {
        "good": True,
        "nan": False,
        "failed": False,
        "waits": False,
    }
    assert table["rank"].dropna().to_dict() == {"good": 1}
    assert table.loc["failed", "reason"] == "out of memory"
    assert pd.isna(table.loc["waits", "minutes"])


def test_hyperparameters_have_the_type_of_their_range() -> None:
    bias = {"type": "categorical", "values": [True, False]}
    ranges = {**REQUEST["hyperparameter_ranges"], "bias": bias}
    one = trial("a", 0.5)
    values = {**one.hyperparameters, "bias": "false"}
    plan = plan_of(10, hyperparameter_ranges=ranges)
    table = frame(plan, [trial("a", 0.5, hyperparameters=values)])
    row = table.iloc[0]
    assert table["hp.lr"].dtype == "float64"
    assert table["hp.batch-size"].dtype == "Int64"
    assert row["hp.batch-size"] == 64
    assert row["hp.optimizer"] == "sgd"
    assert row["hp.bias"] == False  # noqa: E712  the value, not its truth


def test_cost_is_time_on_instances_at_their_price() -> None:
    table = frame(plan_of(10), [trial("a", 0.5)])
    assert table.loc[0, "cost"] == pytest.approx(0.115)
    assert table.loc[0, "minutes"] == 60


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_results_can_be_written_and_read(tmp_path: Path, ending: str) -> None:
    table = frame(plan_of(200), trials(plan_of(200)))
    path = tmp_path / f"results{ending}"
    save(table, path)
    read = pd.read_parquet(path) if ending == ".parquet" else pd.read_csv(path)
    assert len(read) == 200
    assert read["objective"].max() == pytest.approx(table["objective"].max())


def test_another_file_extension_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidPlan, match=r"\.parquet or \.csv"):
        save(frame(plan_of(10), []), tmp_path / "results.xlsx")


def test_an_optuna_study_holds_every_trial_once(tmp_path: Path) -> None:
    plan = plan_of(60)
    table = frame(plan, trials(plan))
    storage = f"sqlite:///{tmp_path}/study.db"
    export(plan, table.head(20), storage)
    study = export(plan, table, storage)
    assert len(study.trials) == 60
    top = best(table)
    assert top is not None
    assert study.best_value == pytest.approx(top["objective"])
    assert study.best_params["lr"] == pytest.approx(top["hp.lr"])


def test_a_pilot_measures_minutes_and_their_spread() -> None:
    small = pilot_of({"name": "a-long-campaign-name", "request": REQUEST}, 4, guess=1.0)
    assert small.campaign.trials == 4
    assert len(small.campaign.name) <= 20
    table = frame(small, [trial("a", 0.5), trial("b", 0.5, ended_at=AT.replace(hour=11))])
    minutes, spread = measure(table)
    assert minutes == 90
    assert spread == pytest.approx(math.log(2) / math.sqrt(2))
    with pytest.raises(InvalidPlan, match="no memory"):
        measure(frame(small, [trial("a", None, "Failed", reason="no memory")]))


def test_columns_of_several_types_are_text_in_parquet(tmp_path: Path) -> None:
    ranges = {"bias": {"type": "categorical", "values": [True, 3, 0.5, "off"]}}
    plan = plan_of(4, hyperparameter_ranges=ranges)
    found = [
        trial(name, 0.5, hyperparameters={"bias": text})
        for name, text in zip("abcd", ("true", "3", "0.5", "off"), strict=True)
    ]
    save(frame(plan, found), tmp_path / "mixed.parquet")
    read = pd.read_parquet(tmp_path / "mixed.parquet")
    assert read["hp.bias"].tolist() == ["true", "3", "0.5", "off"]
