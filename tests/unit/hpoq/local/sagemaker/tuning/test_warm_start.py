"""Warm start: parents, children, and what a child may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.tuning.suggest import HyperparameterSearch
from tests.support.memory_endpoint import (
    MemoryPorts,
    describe,
    tuning_job,
)

LR = {"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}


def child(kind: str = "IdenticalDataAndAlgorithm", **changes: Any) -> dict[str, Any]:
    job = tuning_job("child", Strategy="Bayesian", **{"jobs": 1, **changes})
    job["WarmStartConfig"] = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
        "WarmStartType": kind,
    }
    return job


@pytest.fixture
def parent(sagemaker: Any, memory: MemoryPorts) -> Any:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("parent", jobs=3))
    memory.await_status("parent", "Completed")
    return describe(sagemaker, "parent")


def test_an_identical_child_reports_the_best_training_job_including_its_parents(
    sagemaker: Any, memory: MemoryPorts, parent: Any
) -> None:
    worse = child(ranges={"ContinuousParameterRanges": [{**LR, "MinValue": "0.999"}]})
    sagemaker.create_hyper_parameter_tuning_job(**worse)
    memory.await_status("child", "Completed")

    found = describe(sagemaker, "child")
    best = parent["BestTrainingJob"]["TrainingJobName"]
    assert found["OverallBestTrainingJob"]["TrainingJobName"] == best
    assert found["BestTrainingJob"]["TrainingJobName"] != best
    assert found["BestTrainingJob"]["TuningJobName"] == "child"
    assert "OverallBestTrainingJob" not in parent


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        ("IdenticalDataAndAlgorithm", {"image": "other"}, "training image"),
        ("IdenticalDataAndAlgorithm", {"data": "s3://bucket/other"}, "input data"),
        ("TransferLearning", {"metric": {"Type": "Minimize", "MetricName": "auc"}}, "objective"),
        ("TransferLearning", {"static": {"more": "1"}}, "number of static and tunable"),
        ("TransferLearning", {"jobs": 748}, "3 training jobs of the parent"),
        ("TransferLearning", {"parent": "nobody"}, "can't find"),
    ],
)
def test_a_child_that_differs_too_much_is_rejected(
    sagemaker: Any, parent: Any, kind: str, change: dict[str, Any], problem: str
) -> None:
    job = child(kind, **{k: v for k, v in change.items() if k in ("static", "jobs")})
    definition = job["TrainingJobDefinition"]
    match change:
        case {"image": image}:
            definition["AlgorithmSpecification"]["TrainingImage"] = image
        case {"data": uri}:
            definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = uri
        case {"metric": metric}:
            job["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"] = metric
        case {"parent": name}:
            job["WarmStartConfig"]["ParentHyperParameterTuningJobs"] = [
                {"HyperParameterTuningJobName": name}
            ]
    with pytest.raises(ClientError, match=problem):
        sagemaker.create_hyper_parameter_tuning_job(**job)


def test_transfer_learning_may_change_image_and_data(
    sagemaker: Any, memory: MemoryPorts, parent: Any
) -> None:
    job = child("TransferLearning")
    job["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"] = "other"
    sagemaker.create_hyper_parameter_tuning_job(**job)
    assert memory.await_status("child", "Completed", "Failed") == "Completed"
    assert "OverallBestTrainingJob" not in describe(sagemaker, "child")


def test_a_parent_s_static_hyperparameter_counts_when_the_child_searches_it(
    sagemaker: Any, memory: MemoryPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("parent", static={"sleep": "0.01"}))
    memory.await_status("parent", "Completed")
    both = {"ContinuousParameterRanges": [LR, {"Name": "sleep", "MinValue": "0", "MaxValue": "1"}]}
    used: list[str] = []
    add_result = HyperparameterSearch.add_result

    def recorded(self: HyperparameterSearch, values: Mapping[str, str], objective: float) -> bool:
        if is_used := add_result(self, values, objective):
            used.append(values["sleep"])
        return is_used

    monkeypatch.setattr(HyperparameterSearch, "add_result", recorded)
    sagemaker.create_hyper_parameter_tuning_job(**child(ranges=both, static={}))
    assert used[:4] == ["0.01"] * 4


def test_a_child_starts_warm_from_the_results_of_its_parent(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("parent", jobs=4))
    memory.await_status("parent", "Completed")
    child = tuning_job("child", Strategy="Bayesian", jobs=2)
    child["WarmStartConfig"] = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    sagemaker.create_hyper_parameter_tuning_job(**child)
    assert memory.await_status("child", "Completed", "Failed") == "Completed"
