"""Points and repeated seeds on the local SageMaker endpoint: what the tuning jobs train."""

from __future__ import annotations

from typing import Any

import pytest

from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.given_settings import settings_of
from hpoq.campaign.running.messages import message
from tests.support.small_campaigns import plan_with_given_settings


def test_without_a_result_there_is_nothing_to_repeat() -> None:
    plan = plan_with_given_settings("single")
    with pytest.raises(InvalidPlan, match="no trial has an objective"):
        settings_of(plan, plan.jobs[-1], [])


def test_the_request_in_api_form_of_a_point_is_a_grid_without_what_searches_need() -> None:
    config = {
        "Strategy": "Hyperband", "StrategyConfig": {"HyperbandStrategyConfig": {}},
        "HyperParameterTuningJobObjective": {"MetricName": "auc", "Type": "Maximize"},
        "ParameterRanges": {
            "ContinuousParameterRanges": [{"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}]
        },
    }  # fmt: skip
    definition = {"StaticHyperParameters": {"lr": "1", "epochs": "3"}}
    api = {"HyperParameterTuningJobConfig": config, "TrainingJobDefinition": definition}
    plan = plan_with_given_settings("single", 24)
    campaign = plan.campaign.model_copy(update={"request": {"api_request": api}})
    plan = plan.model_copy(update={"campaign": campaign})
    ranges: Any = {"lr": plan.campaign.repeats.as_range} if plan.campaign.repeats else {}
    made = message(plan, plan.jobs[0], ranges=ranges)["api_request"]
    asked = made["HyperParameterTuningJobConfig"]
    assert asked["Strategy"] == "Grid"
    assert asked["TrainingJobEarlyStoppingType"] == "Off"
    assert not {"StrategyConfig", "RandomSeed"} & set(asked)
    assert asked["ParameterRanges"].keys() == {"CategoricalParameterRanges"}
    assert made["TrainingJobDefinition"]["StaticHyperParameters"] == {"epochs": "3"}
