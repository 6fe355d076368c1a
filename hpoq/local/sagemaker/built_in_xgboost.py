"""SageMaker's built-in XGBoost algorithm as the API shows it: its image and its metrics.

https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost-tuning.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

IMAGE = re.compile(r"(^|/)(sagemaker-)?xgboost([:@]|$)")
METRICS = (
    "accuracy", "auc", "aucpr", "balanced_accuracy", "error", "f1", "logloss", "mae", "map",
    "mape", "merror", "mlogloss", "mphe", "mse", "ndcg", "precision", "r2", "recall", "rmse",
    "rmsle",
)  # fmt: skip


def is_xgboost(definition: Mapping[str, Any]) -> bool:
    """Return whether a training job uses XGBoost's image, also for a script of its user."""
    return bool(IMAGE.search(str(definition["AlgorithmSpecification"].get("TrainingImage", ""))))


def is_built_in(definition: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> bool:
    """Return whether a training job runs the built-in algorithm rather than a user's script."""
    algorithm = definition["AlgorithmSpecification"]
    script = "sagemaker_program" in hyperparameters or algorithm.get("ContainerEntrypoint")
    return is_xgboost(definition) and not script


def metric_definitions() -> list[dict[str, str]]:
    """Return the MetricDefinitions that match what the algorithm prints after each round."""
    return [
        {"Name": f"{data}:{name}", "Regex": rf".*\[[0-9]+\].*#011{data}-{name}:([-+\w.]+)"}
        for data in ("validation", "train")
        for name in METRICS
    ]


def add_metric_definitions(definition: dict[str, Any]) -> None:
    """Add the metrics that XGBoost's image brings, also for a script of its user."""
    if not is_xgboost(definition):
        return
    algorithm = definition["AlgorithmSpecification"]
    given = algorithm.get("MetricDefinitions", ())
    names = {each["Name"] for each in given}
    added = [each for each in metric_definitions() if each["Name"] not in names]
    algorithm["MetricDefinitions"] = [*given, *added]
