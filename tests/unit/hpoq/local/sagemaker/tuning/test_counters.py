"""The counters and the best training job in a tuning job's record."""

from __future__ import annotations

from typing import Any

import pytest

from hpoq.local.sagemaker.tuning.counters import (
    count_outcome,
    count_running,
    end_running,
    reset,
)

AUC = {"Type": "Maximize", "MetricName": "auc"}


def record(**fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {**fields}
    reset(made)
    return made


def trained(value: float | None, status: str = "Completed", **fields: Any) -> dict[str, Any]:
    metrics = [] if value is None else [{"MetricName": "auc", "Value": value}]
    return {
        "TrainingJobName": f"job-{value}", "TrainingJobStatus": status, "_objective": AUC,
        "_tuned": {}, "_tuning_job": "t", "FinalMetricDataList": metrics, **fields,
    }  # fmt: skip


def counted(made: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the counters that are not zero."""
    statuses, objectives = made["TrainingJobStatusCounters"], made["ObjectiveStatusCounters"]
    return {k: n for k, n in statuses.items() if n}, {k: n for k, n in objectives.items() if n}


def test_a_new_tuning_job_has_all_counters_and_they_are_zero() -> None:
    made = record(BestTrainingJob={"of": "before"})
    assert made == {
        "TrainingJobStatusCounters": {
            "Completed": 0, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0,
            "Stopped": 0,
        },
        "ObjectiveStatusCounters": {"Succeeded": 0, "Pending": 0, "Failed": 0},
    }  # fmt: skip


def test_a_running_training_job_is_in_progress_and_its_objective_is_pending() -> None:
    made = record()
    count_running(made, 1)
    count_running(made, 1)
    count_running(made, -1)
    assert counted(made) == ({"InProgress": 1}, {"Pending": 1})


INTERNAL = {"FailureReason": "InternalServerError: no disk"}


@pytest.mark.parametrize(
    ("job", "status", "objective"),
    [
        (trained(0.5), "Completed", "Succeeded"),
        (trained(None), "Completed", "Failed"),
        (trained(0.5, "Stopped"), "Stopped", "Succeeded"),
        (trained(None, "Stopped"), "Stopped", "Failed"),
        (trained(0.5, "Failed"), "NonRetryableError", "Failed"),
        (trained(None, "Failed", **INTERNAL), "RetryableError", "Failed"),
    ],
)
def test_an_ended_training_job_counts_by_its_status_and_its_objective(
    job: dict[str, Any], status: str, objective: str
) -> None:
    made = record()
    count_outcome(made, job)
    assert counted(made) == ({status: 1}, {objective: 1})


def test_counters_add_up() -> None:
    made = record()
    for value, status in ((0.5, "Completed"), (0.6, "Completed"), (None, "Stopped")) * 2:
        count_outcome(made, trained(value, status))
    assert counted(made) == ({"Completed": 4, "Stopped": 2}, {"Succeeded": 4, "Failed": 2})


def test_what_ran_when_the_engine_failed_counts_as_failed() -> None:
    made = record()
    count_outcome(made, trained(0.5, "Failed"))
    for _ in range(3):
        count_running(made, 1)
    end_running(made)
    assert counted(made) == ({"NonRetryableError": 4}, {"Failed": 4})
    count_running(made, -1)
    end_running(made)  # counted twice by mistake: no counter becomes negative
    assert counted(made) == ({"NonRetryableError": 4}, {"Failed": 4})


@pytest.mark.parametrize(("type_", "best"), [("Maximize", 0.9), ("Minimize", 0.1)])
def test_the_best_training_job_is_by_the_objective(type_: str, best: float) -> None:
    made = record()
    for value in (0.5, 0.9, 0.1, 0.9, 0.1):
        job = trained(value, _objective=AUC | {"Type": type_}, order=value)
        count_outcome(made, job)
    count_outcome(made, trained(None))
    assert made["BestTrainingJob"]["TrainingJobName"] == f"job-{best}"
    assert "OverallBestTrainingJob" not in made


def test_of_equal_ones_the_first_stays_the_best() -> None:
    made = record()
    for name in ("first", "second"):
        count_outcome(made, trained(0.5, TrainingJobName=name))
    assert made["BestTrainingJob"]["TrainingJobName"] == "first"


@pytest.mark.parametrize(
    ("kind", "overall"),
    [("IdenticalDataAndAlgorithm", "job-0.7"), ("TransferLearning", None)],
)
def test_an_identical_warm_start_has_a_best_one_over_all_its_parents(
    kind: str, overall: str | None
) -> None:
    """API reference: OverallBestTrainingJob is for IDENTICAL_DATA_AND_ALGORITHM only."""
    made = record(WarmStartConfig={"WarmStartType": kind})
    count_outcome(made, trained(0.7))
    assert made["BestTrainingJob"]["TrainingJobName"] == "job-0.7"
    assert made.get("OverallBestTrainingJob", {}).get("TrainingJobName") == overall
