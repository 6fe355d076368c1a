"""The status fields of a training job's record."""

from __future__ import annotations

from typing import Any

from hpoq.local.sagemaker.training.execution import Outcome

Record = dict[str, Any]


def with_secondary_status(record: Record, status: str, now: float, message: str = "") -> Record:
    """Return the record with a new secondary status and the end time of the last one."""
    *earlier, last = record["SecondaryStatusTransitions"]
    transition = {"Status": status, "StartTime": now, "StatusMessage": message}
    return record | {
        "SecondaryStatus": status,
        "SecondaryStatusTransitions": [*earlier, last | {"EndTime": now}, transition],
        "LastModifiedTime": now,
    }


def stopped_before_start(record: Record, now: float) -> Record:
    """Return the final record of a training job that was stopped before it started."""
    return _ended(record, "Stopped", now, "")


def failed_in_engine(record: Record, reason: str, now: float) -> Record:
    """Return the final record of a training job that the engine cannot run."""
    return _ended(record, "Failed", now, reason) | {"FailureReason": reason[:1024]}


def _ended(record: Record, status: str, now: float, message: str) -> Record:
    if not record.get("SecondaryStatusTransitions"):
        record = record | {"SecondaryStatusTransitions": [{"Status": "Starting", "StartTime": now}]}
    record = with_secondary_status(record, status, now, message)
    record["SecondaryStatusTransitions"][-1]["EndTime"] = now
    return record | {"TrainingJobStatus": status, "TrainingEndTime": now}


def with_outcome(
    record: Record, outcome: Outcome, final_metrics: list[Record], now: float
) -> Record:
    """Return the final record of a training job that ends now."""
    status = outcome.secondary or outcome.status
    record = with_secondary_status(record, status, now, outcome.reason)
    record["SecondaryStatusTransitions"][-1]["EndTime"] = now
    seconds = max(1, round(now - record["TrainingStartTime"]))
    failed = {"FailureReason": outcome.reason[:1024]} if outcome.status == "Failed" else {}
    return (
        record
        | failed
        | {
            "TrainingJobStatus": outcome.status,
            "TrainingEndTime": now,
            "TrainingTimeInSeconds": seconds,
            "BillableTimeInSeconds": seconds,
            "FinalMetricDataList": final_metrics,
        }
    )
