"""Campaigns that train given points first and repeat the best settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.results.repeated import by_setting
from hpoq.campaign.running_campaign import RunningCampaign
from tests.support.small_campaigns import plan_with_given_settings

EVERY = 0.05


@pytest.mark.parametrize("strategy", ["independent", "narrowing"])
def test_points_are_trained_first_and_the_best_settings_with_each_seed(
    strategy: str, backend: DirectBackend, file: Path
) -> None:
    plan = plan_with_given_settings(strategy)
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
    plan = plan_with_given_settings("warm-waves", points=[{"lr": 0.0316}])  # the optimum
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
    plan = plan_with_given_settings("independent")
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
