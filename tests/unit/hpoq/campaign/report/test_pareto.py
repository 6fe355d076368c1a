"""The section of the Pareto front."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.fabricated import REQUEST, trials
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.report.pareto import section
from hpoq.campaign.results.table import frame


def text_of(further: dict[str, Any], **metrics: float) -> str:
    campaign = campaign_of(
        name="c", trials=60, minutes_per_trial=5, request=REQUEST, further_metrics=further
    )
    plan = planned(campaign, "single")
    made = [
        replace(t, metrics={name: value * n for name, value in metrics.items()})
        for n, t in enumerate(trials(plan), 1)
    ]
    return section(plan, frame(plan, made))


def test_a_campaign_of_one_objective_has_no_front() -> None:
    assert text_of({}) == ""


def test_each_metric_has_a_figure_and_the_front_a_table() -> None:
    text = text_of({"latency": "Minimize", "cost": "Minimize"}, latency=0.5)
    assert text.count("plotly-graph-div") == 2
    for title in ("latency", "cost", "validation:auc", "lr"):
        assert f">{title}</th>" in text
    assert "trials are on the front of all metrics" in text


def test_a_metric_that_no_trial_has_is_said_to_be_missing_and_the_others_are_drawn() -> None:
    text = text_of({"latency": "Minimize", "size": "Minimize"}, size=2.0)
    assert "latency: no trial has a value. The script must print it" in text
    assert text.count("plotly-graph-div") == 1
    assert ">latency</th>" not in text
