"""The counters and the best training job in a tuning job's record."""

from __future__ import annotations

from typing import Any

from hpoq.local.sagemaker.records import (
    IDENTICAL,
    final_objective,
    is_better,
    is_retryable,
    training_job_summary,
)

Record = dict[str, Any]
STATUS_COUNTERS = {
    "Completed": "Completed",
    "Stopped": "Stopped",
    "Failed": "NonRetryableError",
}


def zeros() -> tuple[Record, Record]:
    """Return TrainingJobStatusCounters and ObjectiveStatusCounters of a new tuning job."""
    statuses = ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")
    return dict.fromkeys(statuses, 0), dict.fromkeys(("Succeeded", "Pending", "Failed"), 0)


def reset(tuning_job: Record) -> None:
    """Set the counters to zero and remove the best training job."""
    tuning_job["TrainingJobStatusCounters"], tuning_job["ObjectiveStatusCounters"] = zeros()
    tuning_job.pop("BestTrainingJob", None)


def count_running(tuning_job: Record, change: int) -> None:
    """Add 1 or -1 to the counters of running training jobs."""
    tuning_job["TrainingJobStatusCounters"]["InProgress"] += change
    tuning_job["ObjectiveStatusCounters"]["Pending"] += change


def end_running(tuning_job: Record) -> None:
    """Count the training jobs that were running when the engine failed as failed."""
    statuses, objectives = (
        tuning_job["TrainingJobStatusCounters"],
        tuning_job["ObjectiveStatusCounters"],
    )
    statuses["NonRetryableError"] += max(0, statuses["InProgress"])
    objectives["Failed"] += max(0, objectives["Pending"])
    statuses["InProgress"] = objectives["Pending"] = 0


def count_outcome(tuning_job: Record, training_job: Record) -> None:
    """Count a training job that has ended, and keep it if it is the best one."""
    counter = STATUS_COUNTERS[training_job["TrainingJobStatus"]]
    counter = "RetryableError" if is_retryable(training_job) else counter
    tuning_job["TrainingJobStatusCounters"][counter] += 1
    value = final_objective(training_job)
    outcome = "Succeeded" if value is not None else "Failed"
    tuning_job["ObjectiveStatusCounters"][outcome] += 1
    if value is None:
        return
    for best in _best_fields(tuning_job):
        if is_better(training_job["_objective"], value, tuning_job.get(best)):
            tuning_job[best] = training_job_summary(training_job)


def _best_fields(tuning_job: Record) -> tuple[str, ...]:
    """Return the fields of the best training job.

    SageMaker shows the best one including all parents only for identical warm starts.
    """
    identical = tuning_job.get("WarmStartConfig", {}).get("WarmStartType") == IDENTICAL
    return ("BestTrainingJob", "OverallBestTrainingJob") if identical else ("BestTrainingJob",)
