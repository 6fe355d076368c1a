from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker.store import Store
from tests.unit.hpoq.local.sagemaker.conftest import Memory, client_of, tuning_job


def describe(sagemaker: Any, name: str) -> Any:
    return sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def reasons(sagemaker: Any) -> list[str]:
    names = [e["TrainingJobName"] for e in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
    jobs = [sagemaker.describe_training_job(TrainingJobName=name) for name in names]
    return [job.get("FailureReason", "") for job in jobs]


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_tuning_job_runs_real_processes_and_finds_its_best(
    sagemaker: Any, memory: Memory, strategy: str
) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", Strategy=strategy, jobs=6))
    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"

    job = describe(sagemaker, "job-1")
    assert job["TrainingJobStatusCounters"]["Completed"] == 6, reasons(sagemaker)
    best = job["BestTrainingJob"]
    trials = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="job-1",
        SortBy="FinalObjectiveMetricValue",
        SortOrder="Descending",
    )["TrainingJobSummaries"]
    assert trials[0]["TrainingJobName"] == best["TrainingJobName"]
    value = best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    lr = float(best["TunedHyperParameters"]["lr"])
    assert value == pytest.approx(1 - (lr - 0.3) ** 2, abs=1e-5)


def test_the_last_value_of_a_metric_counts_and_the_model_is_on_s3(
    sagemaker: Any, memory: Memory
) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", jobs=1, parallel=1))
    memory.await_status("job-1", "Completed")
    (trial,) = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    job = sagemaker.describe_training_job(TrainingJobName=trial["TrainingJobName"])
    (metric,) = job["FinalMetricDataList"]
    assert metric["Value"] != pytest.approx(0.1)
    place = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://bucket/")
    with tarfile.open(fileobj=io.BytesIO(memory.stored["bucket", place])) as model:
        assert model.getnames() == ["model.txt"]
    assert any("rows=6" in line for lines in memory.lines.values() for line in lines)


def test_never_more_run_at_once_than_allowed(sagemaker: Any, memory: Memory) -> None:
    job = tuning_job("job-1", jobs=6, parallel=2, static={"sleep": "0.05"})
    sagemaker.create_hyper_parameter_tuning_job(**job)
    memory.await_status("job-1", "Completed")
    trials = [
        sagemaker.describe_training_job(TrainingJobName=each["TrainingJobName"])
        for each in sagemaker.list_training_jobs()["TrainingJobSummaries"]
    ]
    for one in trials:
        overlapping = [
            other
            for other in trials
            if other["TrainingStartTime"] <= one["TrainingStartTime"] < other["TrainingEndTime"]
        ]
        assert len(overlapping) <= 2


def test_a_script_that_fails_says_why(sagemaker: Any, memory: Memory) -> None:
    job = tuning_job("job-1", jobs=2, static={"fail": "no such column"})
    sagemaker.create_hyper_parameter_tuning_job(**job)
    assert memory.await_status("job-1", "Completed", "Failed") == "Failed"
    assert describe(sagemaker, "job-1")["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    trial = sagemaker.list_training_jobs()["TrainingJobSummaries"][0]["TrainingJobName"]
    reason = sagemaker.describe_training_job(TrainingJobName=trial)["FailureReason"]
    assert "no such column" in reason


def test_a_stopped_job_ends_its_processes(sagemaker: Any, memory: Memory) -> None:
    job = tuning_job("job-1", jobs=4, static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**job)
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    memory.await_status("job-1", "Stopped", seconds=20)
    counters = describe(sagemaker, "job-1")["TrainingJobStatusCounters"]
    assert counters["InProgress"] == 0
    assert counters["Stopped"] == 2


def test_names_are_taken_for_ever_whatever_their_case(sagemaker: Any, memory: Memory) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", jobs=1, parallel=1))
    memory.await_status("job-1", "Completed")
    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("JOB-1"))
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"


def test_the_account_limit_is_refused_with_the_apis_own_error(
    start: Any, session: Any, memory: Memory
) -> None:
    sagemaker = client_of(start(tuning_jobs=1), session)
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", static={"sleep": "60"}))
    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-2"))
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    memory.await_status("job-1", "Stopped", seconds=20)
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-2", jobs=1, parallel=1))


def test_a_killed_engine_goes_on_where_it_was(start: Any, session: Any, memory: Memory) -> None:
    first = start()
    job = tuning_job("job-1", jobs=5, parallel=2, static={"sleep": "0.3"})
    client_of(first, session).create_hyper_parameter_tuning_job(**job)
    first.close()

    sagemaker = client_of(start(), session)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    assert describe(sagemaker, "job-1")["TrainingJobStatusCounters"]["Completed"] == 5
    names = [e["TrainingJobName"] for e in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
    assert len(names) == len(set(names)) == 5


def test_an_engine_killed_between_two_writes_counts_anew(
    start: Any, session: Any, memory: Memory, tmp_path: Path
) -> None:
    first = start()
    job = tuning_job("job-1", jobs=5, parallel=1, static={"sleep": "0.1"}, RandomSeed=3)
    client_of(first, session).create_hyper_parameter_tuning_job(**job)
    done = "TrainingJobStatusCounters"
    assert wait_until(lambda: first._engine.store.tuning_job("job-1")[done]["Completed"] == 2, 30)
    first.close()
    store = Store(tmp_path / "sagemaker" / "jobs.sqlite")
    record = store.tuning_job("job-1")
    assert record is not None
    record[done] = {**record[done], "Completed": 1, "InProgress": 2}  # one behind
    store.save_tuning_job({k: v for k, v in record.items() if k != "BestTrainingJob"})
    store.close()

    sagemaker = client_of(start(), session)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    found = describe(sagemaker, "job-1")
    assert found[done]["Completed"] == sum(found[done].values()) == 5
    jobs = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="job-1", SortBy="FinalObjectiveMetricValue"
    )["TrainingJobSummaries"]
    assert found["BestTrainingJob"]["TrainingJobName"] == jobs[-1]["TrainingJobName"]
    tried = {each["TunedHyperParameters"]["lr"] for each in jobs}
    assert len(tried) == 5  # the search went on, it did not begin anew


def test_a_child_starts_warm_from_its_parents_results(sagemaker: Any, memory: Memory) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("parent", jobs=4))
    memory.await_status("parent", "Completed")
    child = tuning_job("child", Strategy="Bayesian", jobs=2)
    child["WarmStartConfig"] = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    sagemaker.create_hyper_parameter_tuning_job(**child)
    assert memory.await_status("child", "Completed", "Failed") == "Completed"


def test_lists_are_filtered_sorted_and_paged(sagemaker: Any, memory: Memory) -> None:
    for name in ("b-2", "a-1", "c-3"):
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job(name, jobs=1, parallel=1))
        memory.await_status(name, "Completed")

    def names(**filters: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(
            **filters, PaginationConfig={"PageSize": 2}
        )
        return [
            each["HyperParameterTuningJobName"]
            for page in pages
            for each in page["HyperParameterTuningJobSummaries"]
        ]

    assert names() == ["a-1", "b-2", "c-3"]
    assert names(SortBy="CreationTime", SortOrder="Descending") == ["c-3", "a-1", "b-2"]
    assert names(NameContains="-1") == ["a-1"]
    assert names(StatusEquals="InProgress") == []


def test_tags_are_kept(sagemaker: Any) -> None:
    job = tuning_job("job-1", jobs=1, parallel=1) | {"Tags": [{"Key": "team", "Value": "fraud"}]}
    arn = sagemaker.create_hyper_parameter_tuning_job(**job)["HyperParameterTuningJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": "x"}])
    tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert {tag["Key"] for tag in tags} == {"team", "more"}


@pytest.mark.parametrize(
    "change",
    [
        {"ranges": {"ContinuousParameterRanges": [
            {"Name": "lr", "MinValue": "2", "MaxValue": "1"}]}},
        {"ranges": {"ContinuousParameterRanges": [
            {"Name": "lr", "MinValue": "0", "MaxValue": "1", "ScalingType": "Logarithmic"}]}},
        {"Strategy": "Guess"},
    ],
)  # fmt: skip
def test_a_request_that_sagemaker_would_refuse_is_refused(
    sagemaker: Any, change: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", **change))
    assert caught.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize(
    "uri", ["data/train", "data/train/", "data/train/rows", "data/train/rows.csv"]
)
def test_a_channel_holds_what_lies_under_its_prefix(
    sagemaker: Any, memory: Memory, uri: str
) -> None:
    request = tuning_job("prefixed", jobs=1)
    channel = request["TrainingJobDefinition"]["InputDataConfig"][0]
    channel["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://bucket/{uri}"
    sagemaker.create_hyper_parameter_tuning_job(**request)
    assert memory.await_status("prefixed", "Completed", "Failed") == "Completed"
