"""The metrics of the linear learner, by their names in the log.

https://docs.aws.amazon.com/sagemaker/latest/dg/linear-learner-tuning.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Values = Mapping[str, Any]
CANDIDATES = 500  # thresholds that are compared


def metrics(scores: Array, labels: Array, threshold: float, values: Values) -> dict[str, float]:
    """Return the metrics of the predictor's type; the names end in <score> or <loss>."""
    if values["predictor_type"] == "regressor":
        error = scores[:, 0] - labels
        return {"mse <loss>": float((error**2).mean()),
                "absolute_loss <loss>": float(np.abs(error).mean())}  # fmt: skip
    if values["predictor_type"] == "binary_classifier":
        return _binary(scores[:, 0], labels, threshold, values["f_beta"])
    return _of_classes(scores, labels.astype(int), values)


def _binary(score: Array, labels: Array, threshold: float, beta: float) -> dict[str, float]:
    precision, recall, accuracy = rates(score, labels, threshold)
    return {
        "binary_classification_accuracy <score>": accuracy,
        f"binary_f_{beta:.3f} <score>": f_score(precision, recall, beta),
        "precision <score>": precision,
        "recall <score>": recall,
        "roc_auc_score <score>": area_under_curve(score, labels),
    }


def _of_classes(scores: Array, labels: np.ndarray[Any, Any], values: Values) -> dict[str, float]:
    beta, most = values["f_beta"], values["accuracy_top_k"]
    predicted = scores.argmax(1)
    of_label = scores[np.arange(len(labels)), labels][:, None]
    rank = (scores > of_label).sum(1)  # 0 for the best class
    of_each = []
    for each in range(scores.shape[1]):
        hits = float(((predicted == each) & (labels == each)).sum())
        precision, recall = (
            _ratio(hits, (predicted == each).sum()),
            _ratio(hits, (labels == each).sum()),
        )
        of_each.append((precision, recall, f_score(precision, recall, beta)))
    precision, recall, score = np.mean(of_each, axis=0)
    return {
        "multiclass_accuracy <score>": float((predicted == labels).mean()),
        f"multiclass_top_k_accuracy_{most} <score>": float((rank < most).mean()),
        "dcg <score>": float((1 / np.log2(rank + 2)).mean()),
        "macro_precision <score>": float(precision),
        "macro_recall <score>": float(recall),
        f"macro_f_{beta:.3f} <score>": float(score),
    }


def rates(score: Array, labels: Array, threshold: float) -> tuple[float, float, float]:
    """Return precision, recall and accuracy of a threshold of the score."""
    predicted = score > threshold
    hits = float((predicted & (labels > 0)).sum())
    precision = _ratio(hits, predicted.sum())
    return precision, _ratio(hits, labels.sum()), float((predicted == (labels > 0)).mean())


def f_score(precision: float, recall: float, beta: float) -> float:
    """Return the F-score, which weighs recall by beta."""
    return _ratio((1 + beta**2) * precision * recall, beta**2 * precision + recall)


def area_under_curve(score: Array, labels: Array) -> float:
    """Return the share of pairs of a positive and a negative row whose order is right."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = float(labels.sum())
    pairs = positive * (len(labels) - positive)
    return _ratio(float(ranks[labels > 0].sum()) - positive * (positive + 1) / 2, pairs)


def best_threshold(score: Array, labels: Array, values: Values) -> float:
    """Return the threshold that is best by the model selection criteria."""
    criteria = values["binary_classifier_model_selection_criteria"]
    if criteria == "loss_function":
        return 0.0
    tried = np.unique(np.quantile(score, np.linspace(0, 1, CANDIDATES)))
    middles = np.concatenate([[0.0], (tried[1:] + tried[:-1]) / 2, [tried[0] - 1]])

    def value(threshold: float) -> tuple[float, float]:
        precision, recall, accuracy = rates(score, labels, threshold)
        if criteria == "f_beta":
            return f_score(precision, recall, values["f_beta"]), 0.0
        if criteria == "precision_at_target_recall":
            return _at_target(precision, recall, values["target_recall"])
        if criteria == "recall_at_target_precision":
            return _at_target(recall, precision, values["target_precision"])
        return accuracy, 0.0

    return float(max(middles, key=value))


def lines(prefix: str, found: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the log that SageMaker's metric definitions match."""
    for name, value in found.items():
        yield f"#quality_metric: host=algo-1, {prefix} {name}={value!r}"


def _at_target(value: float, other: float, target: float) -> tuple[float, float]:
    return (1.0, value) if other >= target else (0.0, other)


def _ratio(above: float, below: Any) -> float:
    return float(above) / float(below) if below else 0.0
