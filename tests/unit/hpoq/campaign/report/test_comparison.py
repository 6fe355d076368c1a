"""Campaigns side by side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.report.comparison import check_comparable, reached, section
from hpoq.campaign.results.table import frame
from hpoq.campaign.results.trial import Trial

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def campaign(
    name: str,
    objectives: list[float],
    minutes: int,
    goal: str = "Maximize",
    **fields: Any,
) -> tuple[CampaignPlan, pd.DataFrame]:
    """Return a campaign whose trials run one after the other."""
    request: dict[str, Any] = {
        "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0, "max": 1}},
        "objective": {"metric": "auc", "type": goal},
    }
    plan = planned(
        campaign_of(
            name=name, trials=len(objectives), minutes_per_trial=1, request=request,
            **{"price_per_hour": 6.0, **fields},
        ),
        "single",
    )  # fmt: skip
    trials = [
        Trial(
            name=f"{name}{n}", job=1, status="Completed", hyperparameters={"lr": "0.5"},
            objective=value, created_at=NOON + timedelta(minutes=minutes * n),
            started_at=NOON + timedelta(minutes=minutes * n),
            ended_at=NOON + timedelta(minutes=minutes * (n + 1)),
        )
        for n, value in enumerate(objectives)
    ]  # fmt: skip
    return plan, frame(plan, trials)


def test_campaigns_are_compared_after_the_same_hours_and_the_same_cost() -> None:
    quick = campaign("quick", [0.1, 0.5, 0.6, 0.7, 0.8, 0.9], 10)  # one hour and 6 USD
    slow = campaign("slow", [0.4, 0.95, 0.99, 0.1], 30)  # two hours and 12 USD
    hours = dict(reached([quick, slow], "hours"))
    assert hours == {0.1: [None, None], 0.25: [0.1, None], 0.5: [0.6, 0.4], 1.0: [0.9, 0.95]}
    assert [amount for amount, _ in reached([quick, slow], "spent")] == pytest.approx(
        [0.6, 1.5, 3.0, 6.0]
    )
    text = section([quick, slow])
    for fact in ("best after 0.5 h", "best after $3.00", "quick", "slow", "0.95"):
        assert fact in text


def test_campaigns_of_other_objectives_cannot_be_compared() -> None:
    with pytest.raises(InvalidPlan, match="Compare campaigns of one objective"):
        check_comparable([campaign("a", [0.1], 1), campaign("b", [0.1], 1, "Minimize")])


def test_a_campaign_without_a_result_is_shown_as_such() -> None:
    empty = campaign("empty", [float("nan")], 1)
    assert '"showlegend":true' in section([campaign("a", [0.5], 1), empty])
    assert reached([campaign("a", [0.5], 1), empty], "hours") == []
    assert "none yet" in section([campaign("a", [0.5], 1), empty])


def test_a_campaign_whose_price_is_unknown_did_not_cost_nothing() -> None:
    unknown = {"price_per_hour": None, "instance_type": "ml.m99.large"}
    text = section([campaign("a", [0.5], 30), campaign("b", [0.5], 30, **unknown)])
    assert "<td>cost</td><td class=n>$3.00</td><td class=n>price unknown</td>" in text
