"""Campaigns of several models: one search each, one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hpoq.campaign import many_models
from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.many_models import ManyModels, models_of, plan_files, shares
from hpoq.campaign.running_campaign import RunningCampaign
from tests.support.small_campaigns import small_plan


def test_models_run_side_by_side_and_have_one_table(
    sagemaker: Any, target: Any, tmp_path: Path
) -> None:
    plans = {"a": small_plan("independent", trials=8), "b": small_plan("single", trials=6)}
    files = {model: tmp_path / f"{model}.plan.json" for model in plans}
    for model, plan in plans.items():
        plan.save(files[model])
    both = tmp_path / "both.plan.json"
    many_models.save(both, files)
    campaigns = {
        model: RunningCampaign(file, DirectBackend(sagemaker, target))
        for model, file in plan_files(both).items()
    }
    waits: list[float] = []
    looks = list(ManyModels(campaigns, wait=waits.append).updates(every=0.01))
    last = looks[-1]
    assert {model: each.ended for model, each in last.items()} == {"a": True, "b": True}
    assert len(waits) == len(looks) - 1, "one wait for both at each poll"
    assert any(each["a"].active and each["b"].active for each in looks), "side by side"
    table = ManyModels(campaigns).results()
    assert list(table.columns[:2]) == ["model", "trial"]
    assert table["model"].value_counts().to_dict() == {"a": 8, "b": 6}
    usable = table[table["usable"]]
    best = usable.loc[usable["objective"].idxmax()]
    assert best["rank"] == 1
    assert sorted(table["rank"].dropna()) == list(range(1, len(usable) + 1))
    page = ManyModels(campaigns).report(tmp_path / "report.html").read_text()
    assert all(plan.campaign.name in page for plan in plans.values())


def test_a_plan_of_one_model_is_its_own_file(tmp_path: Path) -> None:
    file = tmp_path / "c.plan.json"
    small_plan("single").save(file)
    assert plan_files(file) == {"": file}
    assert plan_files(tmp_path / "missing") == {"": tmp_path / "missing"}


def test_models_share_what_the_account_has() -> None:
    limits = {"instances": 10, "tuning_jobs": 100, "parallel_training_jobs": 10}
    found = shares(limits, 3)
    assert [each["instances"] for each in found] == [4, 3, 3]
    assert [each["tuning_jobs"] for each in found] == [34, 33, 33]
    assert {each["parallel_training_jobs"] for each in found} == {10}
    with pytest.raises(InvalidPlan, match=r"limits\.instances: 2 for 3 models"):
        shares({"instances": 2}, 3)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"models": []}, "models: not an object of models by name"),
        ({"models": {"a": {"request": {}}}, "trials": 3}, "trials: does not belong beside models"),
        ({"models": {"A b": {"request": {}}}}, "models.A b: not a name"),
        ({"models": {"a": {"minutes": 1}}}, "models.a.request: missing"),
        ({"models": {"a": {"request": {}, "epochs": 1}}}, "models.a.epochs: unknown field"),
    ],
)
def test_a_wrong_campaign_file_is_one_line(document: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidPlan) as raised:
        models_of(document)
    assert problem in str(raised.value)


def test_the_example_is_a_campaign_file_whose_requests_exist() -> None:
    folder = Path(__file__).parents[4] / "examples" / "campaign"
    models = models_of(yaml.safe_load((folder / "models.yaml").read_text()))
    assert models is not None
    assert list(models) == ["tree", "network"]
    assert (folder / models["tree"]["request"]).is_file()
    assert (folder / models["network"]["request"]["template"]).is_file()


def test_a_request_has_no_models() -> None:
    assert models_of({"hyperparameter_ranges": {}}) is None


def test_models_of_different_objectives_are_not_planned_together() -> None:
    with pytest.raises(InvalidPlan, match=r"models\.b: the objective is loss, not auc"):
        many_models.check_comparable([("a", "auc", True), ("b", "loss", False)])
