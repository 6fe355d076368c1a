"""Tuning jobs and training jobs as SageMaker describes and lists them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
RANGES: dict[str, Any] = {
    "ContinuousParameterRanges": [
        {"Name": "lr", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": "Auto"},
        {"Name": "dropout", "MinValue": "0", "MaxValue": "0.5"},
    ],
    "IntegerParameterRanges": [
        {"Name": "layers", "MinValue": "1", "MaxValue": "8", "ScalingType": "Linear"}
    ],
    "CategoricalParameterRanges": [{"Name": "optimizer", "Values": ['"adam"', '"sgd"']}],
}


def tuning_job(name: str = "tuned", status: str = "Completed", **changes: Any) -> dict[str, Any]:
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobStatus": status,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "auc"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": RANGES,
        },
        "TrainingJobDefinition": {"StaticHyperParameters": {}},
        "TrainingJobStatusCounters": {"Completed": 2, "InProgress": 0},
        "CreationTime": BEGAN,
        "HyperParameterTuningEndTime": BEGAN + timedelta(minutes=9),
        **changes,
    }


def trial(number: int, value: float | None, status: str = "Completed", **tuned: str) -> Any:
    texts = {"lr": "0.01", "dropout": "0.1", "layers": "2", "optimizer": '"adam"', **tuned}
    made: dict[str, Any] = {
        "TrainingJobName": f"tuned-{number:03}",
        "TrainingJobStatus": status,
        "CreationTime": BEGAN,
        "TrainingStartTime": BEGAN + timedelta(minutes=number),
        "TunedHyperParameters": texts,
        "ObjectiveStatus": "Succeeded",
    }
    if status != "InProgress":
        made["TrainingEndTime"] = BEGAN + timedelta(minutes=number + 1)
    if value is not None:
        final = {"MetricName": "auc", "Value": value, "Type": "Maximize"}
        made["FinalHyperParameterTuningJobObjectiveMetric"] = final
    return made


def several(values: Sequence[float]) -> list[Any]:
    lrs = (f"{10 ** -(1 + number % 4)}" for number in range(len(values)))
    return [trial(n, value, lr=lr) for n, (value, lr) in enumerate(zip(values, lrs, strict=True))]
