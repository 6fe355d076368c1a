"""SageMaker's built-in algorithms as the API shows them: their images and their metrics.

https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost-tuning.html
https://docs.aws.amazon.com/sagemaker/latest/dg/linear-learner-tuning.html
https://docs.aws.amazon.com/sagemaker/latest/dg/k-means-tuning.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

QUALITY = r"#quality_metric: host=\S+, "
PROGRESS = {
    "train:progress": r"#progress_metric: host=\S+, completed (\S+) %",
    "train:throughput": r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
}
XGBOOST_METRICS = (
    "accuracy", "auc", "aucpr", "balanced_accuracy", "error", "f1", "logloss", "mae", "map",
    "mape", "merror", "mlogloss", "mphe", "mse", "ndcg", "precision", "r2", "recall", "rmse",
    "rmsle",
)  # fmt: skip
# Of the linear learner: the metric, and how the log names it.
LINEAR_METRICS = {
    "absolute_loss": "absolute_loss <loss>",
    "binary_classification_accuracy": "binary_classification_accuracy <score>",
    "binary_f_beta": r"binary_f_\S+ <score>",
    "dcg": "dcg <score>",
    "macro_f_beta": r"macro_f_\S+ <score>",
    "macro_precision": "macro_precision <score>",
    "macro_recall": "macro_recall <score>",
    "mse": "mse <loss>",
    "multiclass_accuracy": "multiclass_accuracy <score>",
    "multiclass_top_k_accuracy": r"multiclass_top_k_accuracy_\S+ <score>",
    "precision": "precision <score>",
    "recall": "recall <score>",
    "roc_auc_score": "roc_auc_score <score>",
}
# A training job has at most 40 metric definitions, so these are all of the channel train.
OF_TRAINING = (
    "absolute_loss", "binary_classification_accuracy", "binary_f_beta", "mse", "precision",
    "recall",
)  # fmt: skip
OBJECTIVE = r"\S+_objective <loss>"


def _xgboost_metrics() -> dict[str, str]:
    return {
        f"{data}:{name}": rf".*\[[0-9]+\].*#011{data}-{name}:([-+\w.]+)"
        for data in ("validation", "train")
        for name in XGBOOST_METRICS
    }


def _linear_learner_metrics() -> dict[str, str]:
    """Return the patterns by metric, as tuning jobs on AWS describe them."""
    found = dict(PROGRESS)
    for data in ("train", "validation"):
        found[f"{data}:objective_loss"] = rf"{QUALITY}epoch=\S+, {data} {OBJECTIVE}=(\S+)"
        found[f"{data}:objective_loss:final"] = rf"{QUALITY}{data} {OBJECTIVE}=(\S+)"
    found["test:objective_loss"] = rf"{QUALITY}test {OBJECTIVE}=(\S+)"
    for data, names in (
        ("train", OF_TRAINING),
        ("validation", LINEAR_METRICS),
        ("test", LINEAR_METRICS),
    ):
        for name in names:
            found[f"{data}:{name}"] = rf"{QUALITY}{data} {LINEAR_METRICS[name]}=(\S+)"
    return found


def _kmeans_metrics() -> dict[str, str]:
    metrics = {
        f"{data}:{name}": rf"{QUALITY}{data} {name} <loss>=(\S+)"
        for data in ("test", "train")
        for name in ("msd", "ssd")
    }
    return metrics | PROGRESS


@dataclass(frozen=True)
class Algorithm:
    """A built-in algorithm.

    Args:
        name: its own.
        image: matches its images.
        metrics: the pattern of each metric that it prints.
        package: that the warm parent imports for it.
    """

    name: str
    image: re.Pattern[str]
    metrics: Mapping[str, str]
    package: str


def _image(name: str) -> re.Pattern[str]:
    return re.compile(rf"(^|/){name}([:@]|$)")


XGBOOST = Algorithm("xgboost", _image("(sagemaker-)?xgboost"), _xgboost_metrics(), "xgboost")
LINEAR_LEARNER = Algorithm(
    "linear-learner", _image("linear-learner"), _linear_learner_metrics(), "sklearn.cluster"
)
KMEANS = Algorithm("kmeans", _image("kmeans"), _kmeans_metrics(), "sklearn.cluster")
ALGORITHMS = (XGBOOST, LINEAR_LEARNER, KMEANS)


def _of_image(definition: Mapping[str, Any]) -> Algorithm | None:
    image = str(definition["AlgorithmSpecification"].get("TrainingImage", ""))
    return next((each for each in ALGORITHMS if each.image.search(image)), None)


def algorithm_of(
    definition: Mapping[str, Any], hyperparameters: Mapping[str, Any]
) -> Algorithm | None:
    """Return the built-in algorithm that a training job runs; None for a user's script."""
    algorithm = definition["AlgorithmSpecification"]
    script = "sagemaker_program" in hyperparameters or algorithm.get("ContainerEntrypoint")
    return None if script else _of_image(definition)


def add_metric_definitions(definition: dict[str, Any]) -> None:
    """Add the metrics that an image brings, XGBoost's also for a script of its user."""
    found = _of_image(definition)
    if found is None:
        return
    algorithm = definition["AlgorithmSpecification"]
    given = algorithm.get("MetricDefinitions", ())
    names = {each["Name"] for each in given}
    added = [{"Name": k, "Regex": v} for k, v in found.metrics.items() if k not in names]
    algorithm["MetricDefinitions"] = [*given, *added]
