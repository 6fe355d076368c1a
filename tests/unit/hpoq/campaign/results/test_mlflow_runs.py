"""The export to MLflow, into a store of its own.

MLflow is not in requirements.txt, because it is large: pip install mlflow, and run this file.
"""

from __future__ import annotations

import builtins
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.fabricated import REQUEST, trials
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.results.mlflow_runs import TRIAL, export, key_of, tracking_client
from hpoq.campaign.results.table import frame
from hpoq.errors import NotInstalled


def test_names_become_paths_that_mlflow_groups() -> None:
    assert key_of("validation:auc") == "validation/auc"
    assert key_of("batch-size_2.x") == "batch-size_2.x"
    assert key_of("top@5") == "top_5"


def test_without_mlflow_the_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] == "mlflow":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NotInstalled, match=r"pip install 'hpoq\[mlflow\]'"):
        tracking_client("sqlite:///mlflow.db")


def test_each_ended_trial_is_one_run_however_often_it_is_exported(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    plan = planned(
        campaign_of(
            name="credit", trials=60, minutes_per_trial=5, request=REQUEST,
            further_metrics={"latency": "Minimize"},
        ),
        "single",
    )  # fmt: skip
    table = frame(plan, trials(plan)).assign(**{"metric.latency": 7.5})
    client = tracking_client(f"sqlite:///{tmp_path}/mlflow.db")
    first = table.iloc[0]["trial"]
    curves = pd.DataFrame(
        {
            "trial": first, "rank": 1, "metric": "validation:auc", "number": [1, 2],
            "value": [0.1, 0.2],
        }
    )  # fmt: skip
    assert export(plan, table.head(40), client, curves) == 40
    assert export(plan, table, client) == 20
    assert export(plan, table, client) == 0
    experiment = client.get_experiment_by_name("credit").experiment_id
    runs = {run.data.tags[TRIAL]: run for run in client.search_runs([experiment], max_results=500)}
    assert len(runs) == 60
    for row in table.to_dict("records"):
        run = runs[row["trial"]]
        assert run.info.status == ("FAILED" if row["status"] == "Failed" else "FINISHED")
        assert run.info.end_time == round(row["ended_at"].timestamp() * 1000)
        assert float(run.data.params["lr"]) == row["hp.lr"]
        assert run.data.metrics["latency"] == 7.5
        if math.isfinite(row["objective"]):
            assert run.data.metrics["validation/auc"] == row["objective"]
    history = client.get_metric_history(runs[first].info.run_id, "validation/auc")
    assert [(each.step, each.value) for each in history][:2] == [(1, 0.1), (2, 0.2)]
