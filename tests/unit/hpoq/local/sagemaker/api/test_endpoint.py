"""What is refused, chosen and counted when a job is created, and what is said in answer."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.api.rate_limit import Throttle
from hpoq.local.sagemaker.errors import ApiError
from tests.unit.hpoq.local.sagemaker.conftest import Memory, Start, client_of, tuning_job
from tests.unit.hpoq.local.sagemaker.training.test_limits_of_a_job import (
    describe,
    ended,
    training_job,
)

LR = {"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}


def refusal(sagemaker: Any, request: dict[str, Any]) -> str:
    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**request)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"jobs": 2, "parallel": 3}, "MaxParallelTrainingJobs 3 is greater"),
        ({"jobs": 200, "parallel": 101}, "more than 100"),
        ({"jobs": 751, "Strategy": "Bayesian"}, "more than 750 for Bayesian"),
        ({"jobs": 10_001}, "more than 10000 for Random"),
        ({"Strategy": "Grid"}, "only those"),
        ({"static": {"lr": "0.5"}}, "lr is both static and searched"),
        ({"ranges": {"ContinuousParameterRanges": [LR, LR]}}, "lr has 2 ranges"),
        (
            {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"}},
            r"\[f1\], isn't valid for the training algorithm. Choose one of: auc",
        ),
        (
            {"ranges": {"IntegerParameterRanges": [
                {**LR, "Name": "n", "MinValue": "1", "ScalingType": "ReverseLogarithmic"}
            ]}},
            "reverse logarithmic",
        ),
    ],
)  # fmt: skip
def test_a_tuning_job_beyond_sagemaker_s_limits_is_refused(
    sagemaker: Any, changes: dict[str, Any], problem: str
) -> None:
    assert re.search(problem, refusal(sagemaker, tuning_job("job-1", **changes)))
    assert sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"] == []


def test_spot_needs_time_to_wait(sagemaker: Any) -> None:
    job = tuning_job("job-1")
    job["TrainingJobDefinition"]["EnableManagedSpotTraining"] = True
    assert "MaxWaitTimeInSeconds" in refusal(sagemaker, job)
    job["TrainingJobDefinition"]["StoppingCondition"]["MaxWaitTimeInSeconds"] = 59
    assert "59 is less than MaxRuntimeInSeconds 60" in refusal(sagemaker, job)


# Several definitions


def several() -> dict[str, Any]:
    """One that maximises auc by lr, and one that minimises loss by rate."""
    job = tuning_job("job-1", jobs=6, parallel=2)
    definition = job.pop("TrainingJobDefinition")
    config = job["HyperParameterTuningJobConfig"]
    ranges = config.pop("ParameterRanges")
    objective = config.pop("HyperParameterTuningJobObjective")
    one = {**definition, "DefinitionName": "one", "TuningObjective": objective}
    one["HyperParameterRanges"] = ranges
    two = copy.deepcopy(one) | {"DefinitionName": "two"}
    two["HyperParameterRanges"] = {"ContinuousParameterRanges": [{**LR, "MaxValue": "0.02"}]}
    return job | {"TrainingJobDefinitions": [one, two]}


def test_several_definitions_take_turns_each_with_its_own_search(
    sagemaker: Any, memory: Memory
) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**several())
    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"

    jobs = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="job-1"
    )["TrainingJobSummaries"]
    assert [job["TrainingJobDefinitionName"] for job in jobs] == ["one", "two"] * 3
    rates = [float(job["TunedHyperParameters"]["lr"]) for job in jobs]
    assert all(rate <= 0.02 for rate in rates[1::2])
    assert any(rate > 0.02 for rate in rates[0::2])
    best = describe(sagemaker, "job-1")["BestTrainingJob"]
    values = [job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for job in jobs]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == max(values)


def test_grids_of_several_definitions_are_all_tried(sagemaker: Any, memory: Memory) -> None:
    job = several()
    config = job["HyperParameterTuningJobConfig"]
    config["Strategy"] = "Grid"
    del config["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    for definition, values in zip(
        job["TrainingJobDefinitions"], (["1"], ["1", "2", "3"]), strict=True
    ):
        grid = {"CategoricalParameterRanges": [{"Name": "lr", "Values": values}]}
        definition["HyperParameterRanges"] = grid
    sagemaker.create_hyper_parameter_tuning_job(**job)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    jobs = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="job-1"
    )["TrainingJobSummaries"]
    tried = [(j["TrainingJobDefinitionName"], j["TunedHyperParameters"]["lr"]) for j in jobs]
    assert sorted(tried) == [("one", "1"), ("two", "1"), ("two", "2"), ("two", "3")]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda job: job["TrainingJobDefinitions"][1].pop("DefinitionName"), "needs a Definition"),
        (lambda job: job["TrainingJobDefinitions"][1].update(DefinitionName="one"), "used 2 times"),
        (lambda job: job["TrainingJobDefinitions"][1].pop("TuningObjective"), "TuningObjective"),
        (lambda job: job.pop("TrainingJobDefinitions"), "Exactly one of"),
        (lambda job: job.update(TrainingJobDefinition=job["TrainingJobDefinitions"][0]), "Exactly"),
    ],
)
def test_several_definitions_are_told_apart(sagemaker: Any, change: Any, problem: str) -> None:
    job = several()
    change(job)
    assert problem in refusal(sagemaker, job)


# Warm start


def child(kind: str = "IdenticalDataAndAlgorithm", **changes: Any) -> dict[str, Any]:
    job = tuning_job("child", Strategy="Bayesian", **{"jobs": 1, **changes})
    job["WarmStartConfig"] = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
        "WarmStartType": kind,
    }
    return job


@pytest.fixture
def parent(sagemaker: Any, memory: Memory) -> Any:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("parent", jobs=3))
    memory.await_status("parent", "Completed")
    return describe(sagemaker, "parent")


def test_an_identical_child_tells_the_best_of_all_its_parents_included(
    sagemaker: Any, memory: Memory, parent: Any
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
def test_a_child_that_differs_too_much_is_refused(
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
    sagemaker: Any, memory: Memory, parent: Any
) -> None:
    job = child("TransferLearning")
    job["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"] = "other"
    sagemaker.create_hyper_parameter_tuning_job(**job)
    assert memory.await_status("child", "Completed", "Failed") == "Completed"
    assert "OverallBestTrainingJob" not in describe(sagemaker, "child")


def test_what_was_static_teaches_once_it_is_searched(
    start: Start, session: Session, memory: Memory
) -> None:
    endpoint = start()
    sagemaker = client_of(endpoint, session)
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("parent", static={"sleep": "0.01"}))
    memory.await_status("parent", "Completed")
    both = {"ContinuousParameterRanges": [LR, {"Name": "sleep", "MinValue": "0", "MaxValue": "1"}]}
    sagemaker.create_hyper_parameter_tuning_job(**child(ranges=both, static={}))
    (branch,) = endpoint._engine._tunings["child"].branches
    taught = [trial.params["sleep"] for trial in branch.search._study.trials if trial.value]
    assert taught[:4] == [0.01] * 4


# Autotune


def test_autotune_chooses_what_is_left_open_and_shows_it(sagemaker: Any) -> None:
    hints = {"lr": "0.3", "sleep": "60", "fail": "", "rate": "0.9"}
    ranges = {"AutoParameters": [{"Name": k, "ValueHint": v} for k, v in hints.items()]}
    job = tuning_job("job-1", Strategy="Bayesian", ranges=ranges) | {
        "Autotune": {"Mode": "Enabled"}
    }
    del job["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    sagemaker.create_hyper_parameter_tuning_job(**job)

    found = describe(sagemaker, "job-1")
    config = found["HyperParameterTuningJobConfig"]
    assert found["Autotune"] == {"Mode": "Enabled"}
    bounds = {
        each["Name"]: (float(each["MinValue"]), float(each["MaxValue"]))
        for kind in ("IntegerParameterRanges", "ContinuousParameterRanges")
        for each in config["ParameterRanges"][kind]
    }
    assert bounds.keys() == {"lr", "sleep", "rate"}
    assert all(low < float(hints[name]) < high for name, (low, high) in bounds.items())
    assert bounds["rate"][1] < 1
    static = found["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static["fail"] == ""
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 30
    assert config["TrainingJobEarlyStoppingType"] == "Auto"
    criteria = config["TuningJobCompletionCriteria"]
    assert criteria["ConvergenceDetected"]["CompleteOnConvergence"] == "Enabled"
    assert found["TrainingJobDefinition"]["RetryStrategy"]["MaximumRetryAttempts"] == 3


def test_autotune_leaves_what_was_asked_for(sagemaker: Any) -> None:
    job = tuning_job("job-1", TrainingJobEarlyStoppingType="Off", static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**job, Autotune={"Mode": "Enabled"})
    config = describe(sagemaker, "job-1")["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 4
    assert config["TrainingJobEarlyStoppingType"] == "Off"


# Quotas and rates


def test_training_jobs_and_all_instances_have_quotas_too(start: Start, session: Session) -> None:
    sagemaker = client_of(start(training_jobs=3, all_instances=5), session)
    busy = tuning_job("job-1", jobs=2, parallel=2, static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**busy)
    big = training_job("big", sleep="60")
    big["ResourceConfig"]["InstanceCount"] = 4
    with pytest.raises(ClientError, match="'Number of instances across all training jobs' is 5"):
        sagemaker.create_training_job(**big)
    sagemaker.create_training_job(**training_job("fits", sleep="60"))
    with pytest.raises(ClientError, match="'Total number of training jobs' is 3") as caught:
        sagemaker.create_training_job(**training_job("one-too-many"))
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"


def test_calls_beyond_the_rate_are_throttled_each_operation_for_itself() -> None:
    now = [0.0]
    throttle = Throttle(2, lambda: now[0])
    for _ in range(2):
        throttle.check("List")
    with pytest.raises(ApiError, match="Rate exceeded") as caught:
        throttle.check("List")
    assert caught.value.code == "ThrottlingException"
    throttle.check("Describe")
    now[0] = 0.5
    throttle.check("List")
    with pytest.raises(ApiError):
        throttle.check("List")


def test_a_client_meets_the_rate_limit_only_where_it_is_switched_on(
    start: Start, session: Session
) -> None:
    unlimited = client_of(start(), session)
    for _ in range(20):
        unlimited.list_training_jobs()
    limited = client_of(start(calls_per_second=1), session)
    limited.list_training_jobs()
    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        for _ in range(20):
            limited.list_training_jobs()
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"


# Answers


def test_every_answer_keeps_to_botocore_s_description(
    start: Start, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = start()
    sagemaker = client_of(endpoint, session)
    sagemaker.create_training_job(**training_job("alone"))
    ended(sagemaker, "alone")
    stored = endpoint._engine.store.training_job

    def broken(name: str) -> Any:
        record = stored(name)
        assert record is not None
        del record["TrainingJobStatus"]
        return record

    monkeypatch.setattr(endpoint._engine.store, "training_job", broken)
    answer = endpoint.handle("SageMaker.DescribeTrainingJob", b'{"TrainingJobName": "alone"}')
    assert answer[0] == 500
    assert b"InternalFailure" in answer[2]
    assert b"TrainingJobStatus" in answer[2]


def test_other_operations_are_said_to_be_unsupported(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="ListModels is not supported by this endpoint"):
        sagemaker.list_models()
