"""Tuning jobs that run real training processes."""

from __future__ import annotations

import copy
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker.store import Store
from hpoq.local.sagemaker.tuning.counters import zeros
from hpoq.local.sagemaker.tuning.tuning_run import tuning_run_of
from tests.support.memory_endpoint import (
    MemoryPorts,
    archive,
    client_of,
    describe,
    tuning_job,
)

LR = {"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}


def several() -> dict[str, Any]:
    """Return a tuning job with two definitions that search different ranges of lr."""
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


def reasons(sagemaker: Any) -> list[str]:
    names = [e["TrainingJobName"] for e in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
    jobs = [sagemaker.describe_training_job(TrainingJobName=name) for name in names]
    return [job.get("FailureReason", "") for job in jobs]


def test_an_internal_failure_is_retried(
    sagemaker: Any, memory: MemoryPorts, monkeypatch: pytest.MonkeyPatch
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


def test_an_internal_failure_without_retries_counts_as_retryable(
    sagemaker: Any, memory: MemoryPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(memory, "write", full)
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", jobs=1, parallel=1))

    memory.await_status("job-1", "Completed", "Failed")
    assert describe(sagemaker, "job-1")["TrainingJobStatusCounters"]["RetryableError"] == 1


def test_a_tuning_job_that_has_ended_can_be_deleted(sagemaker: Any, memory: MemoryPorts) -> None:
    busy = tuning_job("busy", jobs=1, parallel=1, static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**busy)
    with pytest.raises(ClientError, match="has not ended"):
        sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="busy")

    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="busy")
    memory.await_status("busy", "Stopped")
    sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="busy")
    with pytest.raises(ClientError, match="can't find"):
        describe(sagemaker, "busy")


def test_a_grid_search_completes_when_every_point_is_tried(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    values = {"CategoricalParameterRanges": [{"Name": "lr", "Values": ["0.1", "0.2", "0.3"]}]}
    job = tuning_job("job-1", Strategy="Grid", ranges=values, parallel=2)
    del job["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    sagemaker.create_hyper_parameter_tuning_job(**job)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    found = describe(sagemaker, "job-1")
    assert found["TrainingJobStatusCounters"]["Completed"] == 3
    assert found["BestTrainingJob"]["TunedHyperParameters"]["lr"] == "0.3"


def test_several_definitions_alternate_and_each_has_its_own_search(
    sagemaker: Any, memory: MemoryPorts
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


def test_every_point_of_several_grids_is_tried(sagemaker: Any, memory: MemoryPorts) -> None:
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


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_tuning_job_runs_real_processes_and_reports_the_best(
    sagemaker: Any, memory: MemoryPorts, strategy: str
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


def test_the_last_value_of_a_metric_is_final_and_the_model_is_on_s3(
    sagemaker: Any, memory: MemoryPorts
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


def test_the_number_of_parallel_training_jobs_is_limited(
    sagemaker: Any, memory: MemoryPorts
) -> None:
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


def test_the_failure_reason_contains_the_error_of_the_script(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    job = tuning_job("job-1", jobs=2, static={"fail": "no such column"})
    sagemaker.create_hyper_parameter_tuning_job(**job)
    assert memory.await_status("job-1", "Completed", "Failed") == "Failed"
    assert describe(sagemaker, "job-1")["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    trial = sagemaker.list_training_jobs()["TrainingJobSummaries"][0]["TrainingJobName"]
    reason = sagemaker.describe_training_job(TrainingJobName=trial)["FailureReason"]
    assert "no such column" in reason


def test_a_stopped_job_ends_its_processes(sagemaker: Any, memory: MemoryPorts) -> None:
    job = tuning_job("job-1", jobs=4, static={"sleep": "60"})
    sagemaker.create_hyper_parameter_tuning_job(**job)
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    memory.await_status("job-1", "Stopped", seconds=20)
    counters = describe(sagemaker, "job-1")["TrainingJobStatusCounters"]
    assert counters["InProgress"] == 0
    assert counters["Stopped"] == 2


def test_job_names_are_unique_ignoring_case(sagemaker: Any, memory: MemoryPorts) -> None:
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", jobs=1, parallel=1))
    memory.await_status("job-1", "Completed")
    with pytest.raises(ClientError) as caught:
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job("JOB-1"))
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"


def test_a_restarted_engine_resumes_its_tuning_jobs(
    start: Any, session: Any, memory: MemoryPorts
) -> None:
    first = start()
    job = tuning_job("job-1", jobs=5, parallel=2, static={"sleep": "0.3"})
    client_of(first, session).create_hyper_parameter_tuning_job(**job)
    first.close()

    sagemaker = client_of(start(), session)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    assert describe(sagemaker, "job-1")["TrainingJobStatusCounters"]["Completed"] == 5
    names = [e["TrainingJobName"] for e in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
    assert len(names) == len(set(names)) == 5


def test_an_engine_killed_between_two_writes_rebuilds_its_counters(
    start: Any, session: Any, memory: MemoryPorts, tmp_path: Path
) -> None:
    first = start()
    job = tuning_job("job-1", jobs=5, parallel=1, static={"sleep": "0.1"}, RandomSeed=3)
    client = client_of(first, session)
    client.create_hyper_parameter_tuning_job(**job)
    done = "TrainingJobStatusCounters"
    assert wait_until(lambda: describe(client, "job-1")[done]["Completed"] == 2, 30)
    first.close()
    store = Store(tmp_path / "sagemaker" / "jobs.sqlite")
    record = store.tuning_jobs.get("job-1")
    assert record is not None
    record[done] = {**record[done], "Completed": 1, "InProgress": 2}  # the counters lag behind
    store.tuning_jobs.save({k: v for k, v in record.items() if k != "BestTrainingJob"})
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
    assert len(tried) == 5  # the search was resumed, not restarted


# "Training jobs per hyperparameter tuning job" of automatic-model-tuning-limits.html.
def test_without_a_count_a_tuning_job_has_at_most_750_training_jobs() -> None:
    request = tuning_job("unlimited", jobs=1, parallel=100)
    del request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    statuses, objectives = zeros()
    counted = {"TrainingJobStatusCounters": statuses, "ObjectiveStatusCounters": objectives}
    run = tuning_run_of(request | counted | {"HyperParameterTuningJobStatus": "InProgress"})
    while run.can_launch:
        run.next()
    assert run.launched == 750


# API_ObjectiveStatusCounters.html: Failed counts what "did not emit an objective metric".
def test_a_tuning_job_whose_objective_is_never_printed_completes_without_a_best_job(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": "print('nothing')\n"})
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("silent", jobs=2))
    assert memory.await_status("silent", "Completed", "Failed") == "Completed"
    job = describe(sagemaker, "silent")
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 0, "Pending": 0, "Failed": 2}
    assert "BestTrainingJob" not in job
