"""Quotas of instances, completion criteria, run time, retries, and training jobs of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker.store import Store
from hpoq.local.sagemaker.tuning.completion import Criteria
from tests.unit.hpoq.local.sagemaker.conftest import Memory, Start, client_of, tuning_job


def describe(sagemaker: Any, name: str) -> Any:
    return sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def training_job(name: str, **static: str) -> dict[str, Any]:
    """A training job of its own, with the script of the tuning jobs."""
    definition = tuning_job("unused", static={"lr": "0.5", **static})["TrainingJobDefinition"]
    definition["HyperParameters"] = definition.pop("StaticHyperParameters")
    return {"TrainingJobName": name, **definition}


def ended(sagemaker: Any, name: str) -> Any:
    def described() -> Any:
        return sagemaker.describe_training_job(TrainingJobName=name)

    running = ("InProgress", "Stopping")
    assert wait_until(lambda: described()["TrainingJobStatus"] not in running, 30)
    return described()


def test_instances_in_use_count_against_their_quota(start: Start, session: Session) -> None:
    sagemaker = client_of(start(instances={"ml.m5.large": 3}), session)
    busy = tuning_job("job-1", jobs=2, parallel=2, static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**busy)

    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-2", parallel=2))
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    message = caught.value.response["Error"]["Message"]
    assert "'ml.m5.large for training job usage' is 3 Instances" in message
    assert "utilization of 2 Instances and a request delta of 2 Instances" in message

    sagemaker.create_training_job(**training_job("alone", sleep="60"))
    with pytest.raises(ClientError, match="current utilization of 3 Instances"):
        sagemaker.create_training_job(**training_job("one-too-many"))

    sagemaker.stop_training_job(TrainingJobName="alone")
    assert ended(sagemaker, "alone")["TrainingJobStatus"] == "Stopped"
    sagemaker.create_training_job(**training_job("now-it-fits"))
    assert ended(sagemaker, "now-it-fits")["TrainingJobStatus"] == "Completed"


def test_a_training_job_of_its_own_trains_and_reports(sagemaker: Any, memory: Memory) -> None:
    tags = [{"Key": "team", "Value": "fraud"}]
    arn = sagemaker.create_training_job(**training_job("alone"), Tags=tags)["TrainingJobArn"]

    job = ended(sagemaker, "alone")
    assert job["TrainingJobStatus"] == "Completed"
    assert job["FinalMetricDataList"][0]["Value"] == pytest.approx(0.96, abs=1e-6)
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://bucket/")
    assert ("bucket", key) in memory.stored
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_training_job(**training_job("ALONE"))
    with pytest.raises(ClientError, match="cannot be stopped"):
        sagemaker.stop_training_job(TrainingJobName="alone")
    with pytest.raises(ClientError, match="can't find"):
        sagemaker.stop_training_job(TrainingJobName="nobody")
    kinds = [kind for kind, _ in memory.published]
    assert kinds.count("SageMaker Training Job State Change") == 2


def test_a_training_job_cut_off_by_a_kill_begins_again(
    start: Start, session: Session, memory: Memory
) -> None:
    first = start()
    client_of(first, session).create_training_job(**training_job("alone", sleep="0.5"))
    first.close()

    assert ended(client_of(start(), session), "alone")["TrainingJobStatus"] == "Completed"


def test_enough_is_enough_once_the_target_is_reached(sagemaker: Any, memory: Memory) -> None:
    criteria = {"TargetObjectiveMetricValue": 0.5}
    job = tuning_job("job-1", jobs=50, parallel=2, TuningJobCompletionCriteria=criteria)
    sagemaker.create_hyper_parameter_tuning_job(**job)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    found = describe(sagemaker, "job-1")
    best = found["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert best >= 0.5
    assert sum(found["TrainingJobStatusCounters"].values()) < 10
    assert found["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"] >= 0


@pytest.mark.parametrize(
    ("objectives", "met"),
    [([0.1, 0.9], False), ([0.9, 0.1, 0.2], False), ([0.9, 0.1, 0.2, 0.3], True), ([], False)],
)
def test_training_jobs_that_bring_nothing_better_end_the_search(
    objectives: list[float], met: bool
) -> None:
    asked = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    criteria = Criteria.of({"TuningJobCompletionCriteria": asked}, maximise=True)
    assert (criteria.met(objectives) is not None) is met


def test_a_search_that_gains_no_more_has_converged() -> None:
    asked = {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}
    criteria = Criteria.of({"TuningJobCompletionCriteria": asked}, maximise=False)
    falling = [1 / (step + 1) for step in range(20)]

    assert criteria.met(falling) is None
    assert criteria.met([*falling, *[0.04] * 20]) is None
    assert criteria.met([*falling, *[0.0499] * 20]) == "the search has converged"


def test_a_target_when_minimising_is_below() -> None:
    asked = {"TargetObjectiveMetricValue": 0.2}
    criteria = Criteria.of({"TuningJobCompletionCriteria": asked}, maximise=False)
    assert criteria.met([0.3]) is None
    assert criteria.met([0.3, 0.2]) == "the objective has reached its target"


def test_a_tuning_job_ends_when_its_time_is_up(
    start: Start, session: Session, memory: Memory, tmp_path: Path
) -> None:
    job = tuning_job("job-1", jobs=50, parallel=2, static={"sleep": "60"})
    limits = job["HyperParameterTuningJobConfig"]["ResourceLimits"]
    limits["MaxRuntimeInSeconds"] = 120  # SageMaker's least
    first = start()
    client_of(first, session).create_hyper_parameter_tuning_job(**job)
    first.close()
    store = Store(tmp_path / "sagemaker" / "jobs.sqlite")
    record = store.tuning_job("job-1")
    assert record is not None
    store.save_tuning_job(record | {"CreationTime": record["CreationTime"] - 118})
    store.close()

    sagemaker = client_of(start(), session)

    assert memory.await_status("job-1", "Completed", "Failed", seconds=30) == "Completed"
    counters = describe(sagemaker, "job-1")["TrainingJobStatusCounters"]
    assert (counters["Completed"], counters["Stopped"]) == (0, 2)


def test_what_failed_for_no_fault_of_the_script_is_tried_again(
    sagemaker: Any, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = iter([True, False])
    write = memory.write

    def flaky(*arguments: Any) -> None:
        if str(arguments[1]).endswith("model.tar.gz") and next(failing):
            raise OSError("no space left on device")
        write(*arguments)

    monkeypatch.setattr(memory, "write", flaky)
    job = tuning_job("job-1", jobs=1, parallel=1)
    job["TrainingJobDefinition"]["RetryStrategy"] = {"MaximumRetryAttempts": 2}
    sagemaker.create_hyper_parameter_tuning_job(**job)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    assert describe(sagemaker, "job-1")["TrainingJobStatusCounters"]["Completed"] == 1


def test_without_retries_such_a_failure_counts_as_retryable(
    sagemaker: Any, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(memory, "write", full)
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", jobs=1, parallel=1))

    memory.await_status("job-1", "Completed", "Failed")
    assert describe(sagemaker, "job-1")["TrainingJobStatusCounters"]["RetryableError"] == 1


def test_a_tuning_job_that_has_ended_can_be_deleted(sagemaker: Any, memory: Memory) -> None:
    busy = tuning_job("busy", jobs=1, parallel=1, static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**busy)
    with pytest.raises(ClientError, match="has not ended"):
        sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="busy")

    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="busy")
    memory.await_status("busy", "Stopped")
    sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="busy")
    with pytest.raises(ClientError, match="can't find"):
        describe(sagemaker, "busy")


def test_a_grid_ends_when_every_point_is_tried(sagemaker: Any, memory: Memory) -> None:
    values = {"CategoricalParameterRanges": [{"Name": "lr", "Values": ["0.1", "0.2", "0.3"]}]}
    job = tuning_job("job-1", Strategy="Grid", ranges=values, parallel=2)
    del job["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    sagemaker.create_hyper_parameter_tuning_job(**job)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    found = describe(sagemaker, "job-1")
    assert found["TrainingJobStatusCounters"]["Completed"] == 3
    assert found["BestTrainingJob"]["TunedHyperParameters"]["lr"] == "0.3"
