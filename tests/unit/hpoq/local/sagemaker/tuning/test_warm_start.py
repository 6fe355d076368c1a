"""Warm start: parents, children, and what a child may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.tuning.suggest import HyperparameterSearch
from hpoq.local.sagemaker.tuning.warm_start import check, check_parents, definition_like
from tests.support.memory_endpoint import (
    MemoryPorts,
    describe,
    tuning_job,
)

LR = {"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}


def child(kind: str = "IdenticalDataAndAlgorithm", **changes: Any) -> dict[str, Any]:
    job = tuning_job("child", **{"Strategy": "Bayesian", "jobs": 1, **changes})
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


def ended_parent(launched: int = 5, status: str = "Completed", **changes: Any) -> dict[str, Any]:
    """Return the record of a parent, as the engine has it."""
    record = tuning_job("parent", **changes)
    counters = {"Completed": launched - 2, "Stopped": 1, "NonRetryableError": 1}
    return record | {
        "HyperParameterTuningJobStatus": status, "TrainingJobStatusCounters": counters
    }  # fmt: skip


def floats(*names: str) -> dict[str, Any]:
    return {"ContinuousParameterRanges": [{**LR, "Name": name} for name in names]}


LETTERS = "abcdefghijk"


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped"])
def test_a_child_may_start_warm_from_any_parent_that_has_ended(status: str) -> None:
    check(child(), [ended_parent(status=status)], 750)


@pytest.mark.parametrize("status", ["InProgress", "Stopping"])
def test_a_child_waits_for_its_parents_to_end(status: str) -> None:
    with pytest.raises(ApiError, match="parent has not ended"):
        check(child(), [ended_parent(), ended_parent(status=status)], 750)


@pytest.mark.parametrize(("most", "taken"), [(11, True), (10, False)])
def test_the_training_jobs_of_all_parents_count(most: int, taken: bool) -> None:
    parents = [ended_parent(5), ended_parent(4)]
    if taken:
        check(child(jobs=2), parents, most)
    else:
        with pytest.raises(ApiError, match="2 and the 9 training jobs of the parent"):
            check(child(jobs=2), parents, most)


def test_a_child_without_a_number_of_training_jobs_is_within_the_limit() -> None:
    unlimited = child()
    del unlimited["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    check(unlimited, [ended_parent(750)], 750)


@pytest.mark.parametrize(("changed", "taken"), [(10, True), (11, False)])
def test_ten_hyperparameters_may_change_between_static_and_searched(
    changed: int, taken: bool
) -> None:
    """Developer guide: "the total number of static plus tunable hyperparameters must remain the
    same in all parent jobs and the new tuning job"; up to ten may change."""
    names = LETTERS[:changed]
    before = ended_parent(ranges=floats("lr"), static=dict.fromkeys(names, "1"))
    now = child(ranges=floats("lr", *names))
    if taken:
        check(now, [before], 750)
    else:
        with pytest.raises(ApiError, match="11 hyperparameters have changed"):
            check(now, [before], 750)


def test_changes_of_both_directions_count_together() -> None:
    first, second = LETTERS[:6], "uvwxyz"[:5]
    before = ended_parent(ranges=floats(*first), static=dict.fromkeys(second, "1"))
    now = child(ranges=floats(*second), static=dict.fromkeys(first, "1"))
    with pytest.raises(ApiError, match="11 hyperparameters have changed"):
        check(now, [before], 750)


def with_(job: dict[str, Any], **fields: Any) -> dict[str, Any]:
    job["TrainingJobDefinition"] |= fields
    return job


CODE = {"ChannelName": "code", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/new-code"}}}


@pytest.mark.parametrize(
    ("now", "problem"),
    [
        (child(HyperParameterTuningJobObjective={"Type": "Minimize", "MetricName": "auc"}),
         "objective metric"),
        (child(static={"one": "more"}), "number of static and tunable"),
        (with_(child(), AlgorithmSpecification={"TrainingImage": "other"}), "training image"),
        (with_(child(), InputDataConfig=[]), "input data"),
    ],
)  # fmt: skip
def test_what_a_child_must_have_in_common_with_its_parent(
    now: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ApiError, match=problem):
        check(now, [ended_parent()], 750)


@pytest.mark.parametrize("name", ["code", "sm_drivers"])
def test_the_code_of_an_identical_child_may_differ(name: str) -> None:
    data = child()["TrainingJobDefinition"]["InputDataConfig"]
    now = with_(child(), InputDataConfig=[*data, {**CODE, "ChannelName": name}])
    check(now, [ended_parent()], 750)
    with pytest.raises(ApiError, match="input data"):
        check(
            with_(now, InputDataConfig=[*data, {**CODE, "ChannelName": "x"}]), [ended_parent()], 9
        )


def test_transfer_learning_is_not_compared_in_image_and_data() -> None:
    now = with_(
        child("TransferLearning"), InputDataConfig=[], AlgorithmSpecification={"TrainingImage": "x"}
    )
    check(now, [ended_parent()], 750)


def test_the_definition_of_a_parent_is_that_of_the_same_name_or_its_first() -> None:
    several = {"TrainingJobDefinitions": [{"DefinitionName": "a"}, {"DefinitionName": "b"}]}
    for name, expected in (("b", "b"), ("a", "a"), ("c", "a"), (None, "a")):
        assert definition_like({"DefinitionName": name}, several)["DefinitionName"] == expected


def refused(now: dict[str, Any], *before: dict[str, Any], most: int = 750) -> str:
    """Return why a child may not start warm from its parents."""
    with pytest.raises(ApiError) as caught:
        check(now, before, most)
    return str(caught.value)


def test_a_refusal_names_the_parent_and_what_it_has() -> None:
    parents = ended_parent(), ended_parent() | {"HyperParameterTuningJobName": "second"}
    parents[1]["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"] = "old"
    assert "of its parent tuning job second: old" in refused(child(), *parents)

    more = ended_parent(static={"one": "1", "two": "2"})
    assert "parent: 5" in refused(child(), more)  # lr, two of the SDK, and these two

    minimized = {"Type": "Minimize", "MetricName": "auc"}
    other = ended_parent(HyperParameterTuningJobObjective=minimized)
    assert f"parent: {minimized}" in refused(child(), other)
    other_data = with_(ended_parent(), InputDataConfig=[])
    assert "parent: use TransferLearning for other data" in refused(child(), other_data)
    assert refused(child(), ended_parent(status="Stopping")) == (
        "The parent tuning job parent has not ended."
    )


def test_a_child_is_compared_with_the_definition_of_the_same_name() -> None:
    names = ("one", "two")
    before, now = ended_parent(), child()
    for job in (before, now):
        definition = job.pop("TrainingJobDefinition")
        images = zip(names, ("image-1", "image-2"), strict=True)
        job["TrainingJobDefinitions"] = [
            definition
            | {"DefinitionName": name, "AlgorithmSpecification": {"TrainingImage": image}}
            for name, image in images
        ]
    before["TrainingJobDefinitions"].reverse()
    check(now, [before], 750)
    now["TrainingJobDefinitions"][0]["DefinitionName"] = "three"
    assert "image-2" in refused(now, before)


@pytest.mark.parametrize("which", ["child", "parent", "both"])
def test_jobs_without_static_hyperparameters_can_be_compared(which: str) -> None:
    before, now = ended_parent(), child()
    for job, name in ((before, "parent"), (now, "child")):
        job["TrainingJobDefinition"]["StaticHyperParameters"] = {}
        if which in (name, "both"):
            del job["TrainingJobDefinition"]["StaticHyperParameters"]
    check(now, [before], 750)


def test_jobs_without_data_can_be_compared() -> None:
    before, now = ended_parent(), child()
    for job in (before, now):
        del job["TrainingJobDefinition"]["InputDataConfig"]
    check(now, [before], 750)


def test_jobs_of_an_algorithm_by_name_have_no_image_to_compare() -> None:
    by_name = {"AlgorithmSpecification": {"AlgorithmName": "a"}}
    check(with_(child(), **by_name), [with_(ended_parent(), **by_name)], 750)
    assert "training image" in refused(with_(child(), **by_name), ended_parent())


def test_a_tuning_job_without_parents_is_not_compared() -> None:
    check(tuning_job("alone", jobs=750), [], 750)


@pytest.mark.parametrize(("strategy", "most"), [("Random", 10_000), ("Bayesian", 750)])
def test_the_training_jobs_of_parents_count_toward_the_limit_of_the_strategy(
    strategy: str, most: int
) -> None:
    parents: Any = {"parent": ended_parent(50)}
    check_parents(child(Strategy=strategy, jobs=most - 50), parents)
    with pytest.raises(ApiError, match=f"more than the {most} that a tuning job may have"):
        check_parents(child(Strategy=strategy, jobs=most - 49), parents)


def test_a_parent_must_exist() -> None:
    nothing: Any = {}
    with pytest.raises(ApiError, match="can't find a tuning job called parent"):
        check_parents(child(), nothing)
