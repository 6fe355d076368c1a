"""Points and repeated seeds on the local SageMaker endpoint: what the tuning jobs train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.given_settings import settings_of
from hpoq.campaign.results.repeated import by_setting
from hpoq.campaign.running.messages import message
from hpoq.campaign.running_campaign import RunningCampaign
from tests.support.small_campaigns import small_plan

EVERY = 0.05
POINTS = [{"lr": 0.03}, {"lr": 0.5}]
GIVEN: dict[str, Any] = {
    "points": POINTS,
    "repeats": {"hyperparameter": "seed", "seeds": [1, 2, 3], "settings": 2},
}


def plan_of(strategy: str, trials: int = 40, **more: Any) -> CampaignPlan:
    return small_plan(strategy, trials=trials, **GIVEN | more)


@pytest.mark.parametrize("strategy", ["independent", "narrowing"])
def test_points_are_trained_first_and_the_best_settings_with_each_seed(
    strategy: str, backend: DirectBackend, file: Path
) -> None:
    plan = plan_of(strategy)
    plan.save(file)
    running = RunningCampaign(file, backend)
    last = running.run(EVERY)
    assert (last.done + last.failed, last.problems) == (40, [])
    table = running.results()
    assert list(table[table["job"] == 1]["hp.lr"]) == [0.03]
    assert list(table[table["job"] == 2]["hp.lr"]) == [0.5]
    searched = table[table["wave"] < plan.waves].nsmallest(2, "rank")
    repeated = table[table["wave"] == plan.waves]
    assert sorted(repeated["hp.lr"].unique()) == pytest.approx(sorted(searched["hp.lr"]))
    for _, rows in repeated.groupby("hp.lr"):
        assert sorted(rows["hp.seed"]) == [1, 2, 3]
    assert set(table[table["wave"] < plan.waves]["hp.seed"].dropna()) == set()


def test_a_point_is_no_parent_of_a_warm_start(
    backend: DirectBackend, sagemaker: Any, file: Path
) -> None:
    """Its hyperparameters are categorical, and those of the search are not."""
    plan = plan_of("warm-waves", points=[{"lr": 0.0316}])  # the optimum
    plan.save(file)
    RunningCampaign(file, backend).run(EVERY)
    child = next(job for job in plan.wave(2) if job.parents)
    answer = sagemaker.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=backend.jobs.name(child.number)
    )
    parents = answer["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    named = {each["HyperParameterTuningJobName"] for each in parents}
    assert backend.jobs.name(1) not in named
    assert named <= {backend.jobs.name(job.number) for job in plan.wave(1)}


def test_the_means_of_repeated_settings_are_ranked(backend: DirectBackend, file: Path) -> None:
    plan = plan_of("independent")
    plan.save(file)
    running = RunningCampaign(file, backend)
    running.run(EVERY)
    table = running.results()
    table.loc[table["hp.seed"] == 3, "objective"] -= 0.3  # a poor seed
    found = by_setting(plan, table)
    assert list(found.columns) == ["hp.lr", "trials", "mean", "std", "lowest", "highest"]
    assert list(found["trials"]) == [3, 3]
    assert found["mean"].is_monotonic_decreasing
    for row in found.to_dict("records"):
        assert row["mean"] == pytest.approx(row["highest"] - 0.1)
        assert row["lowest"] == pytest.approx(row["highest"] - 0.3)


def test_without_a_result_there_is_nothing_to_repeat() -> None:
    plan = plan_of("single")
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
    plan = small_plan("single", **GIVEN)
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
