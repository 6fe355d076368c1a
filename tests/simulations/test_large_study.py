"""Campaigns of thousands of trials."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import optuna

from benchmarks.fabricated import REQUEST, trials
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.results.optuna_study import export
from hpoq.campaign.results.table import frame


def plan_of(count: int, goal: str = "Maximize", **request: Any) -> CampaignPlan:
    objective = {"metric": "validation:auc", "type": goal}
    campaign = campaign_of(
        name="credit", trials=count, minutes_per_trial=5, limits={"instances": 100},
        request={**REQUEST, "objective": objective, **request},
    )  # fmt: skip
    return planned(campaign, "independent")


def test_twenty_thousand_trials_have_one_row_each() -> None:
    plan = plan_of(20_000)
    assert len(frame(plan, trials(plan))) == 20_000


def test_ten_thousand_trials_are_a_study_within_seconds(tmp_path: Path) -> None:
    """As Optuna itself adds them, which takes 33 CPU seconds for a thousand trials."""
    plan = plan_of(2_000)
    table = frame(plan, trials(plan))
    began = time.process_time()
    study = export(plan, table, f"sqlite:///{tmp_path}/study.db")
    assert time.process_time() - began < 10 / 5, "10,000 in 10 seconds"

    few = table.head(30)
    export(plan, few, f"sqlite:///{tmp_path}/few.db")
    mine = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{tmp_path}/few.db")
    slow = optuna.create_study(
        storage=f"sqlite:///{tmp_path}/slow.db", direction=study.direction.name.lower()
    )
    slow.add_trials(mine.trials)
    for one, other in zip(mine.trials, slow.trials, strict=True):
        assert one.params == other.params
        assert one.distributions == other.distributions
        assert (one.state, one.number, one.values) == (other.state, other.number, other.values)
        assert one.user_attrs == other.user_attrs
        assert (one.datetime_start, one.datetime_complete) == (
            other.datetime_start, other.datetime_complete,
        )  # fmt: skip
