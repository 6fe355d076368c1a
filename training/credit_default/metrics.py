"""The metrics of a training run (AUC, F1, loss), printed as SageMaker's regexes expect them."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from credit_default.container import TrainingFailed


class MetricNotFinite(TrainingFailed):
    """Training diverged: a metric is NaN or infinite."""


def auc(score: Tensor, target: Tensor) -> float:
    """Return the area under the ROC curve, or NaN if a score is NaN.

    It is the probability that a positive scores above a negative; a tie counts as one half.

    Args:
        score: [rows], any score that increases with the probability of a default.
        target: [rows], 0 or 1; both must occur.
    """
    values, place, count = torch.unique(score, return_inverse=True, return_counts=True)
    rank = (count.cumsum(0).double() - (count - 1) / 2)[place]  # from 1; ties get their mean rank
    positives = float(target.sum())
    negatives = len(target) - positives
    if values.isnan().any():
        return math.nan
    of_positives = float(rank[target == 1].sum())
    return (of_positives - positives * (positives + 1) / 2) / (positives * negatives)


def f1(score: Tensor, target: Tensor, threshold: float) -> float:
    """Return the harmonic mean of precision and recall; scores >= `threshold` are positive."""
    predicted = score >= threshold
    hits = float(target[predicted].sum())
    return 2 * hits / max(float(predicted.sum() + target.sum()), 1.0)


def best_threshold(score: Tensor, target: Tensor) -> float:
    """Return the threshold that gives the highest F1."""
    ordered, order = score.sort(descending=True)
    hits = target[order].cumsum(0)
    predicted = torch.arange(1, len(score) + 1, device=score.device)
    scores = 2 * hits / (predicted + target.sum())
    # Rows of equal score get the same prediction, so only the last of them is a possible cut.
    last_of_ties = torch.cat([ordered[1:] != ordered[:-1], ordered.new_ones(1, dtype=torch.bool)])
    return float(ordered[torch.where(last_of_ties, scores, -1.0).argmax()])


def loss(logit: Tensor, target: Tensor) -> float:
    """Return the mean cross entropy, in nats."""
    return float(functional.binary_cross_entropy_with_logits(logit, target))


def evaluate(logit: Tensor, target: Tensor, threshold: float) -> dict[str, float]:
    """Return AUC, F1 and loss; `threshold` is a logit."""
    return {
        "auc": auc(logit, target),
        "f1": f1(logit, target, threshold),
        "loss": loss(logit, target),
    }


def report(**values: float | Mapping[str, float]) -> None:
    """Print one line such as `epoch=3 train:loss=0.42 validation:auc=0.78`.

    Raises:
        MetricNotFinite: a value is NaN or infinite; no line is printed.
    """
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}:{key}": number for key, number in value.items()}
        else:
            flat[name] = value
    for name, number in flat.items():
        if not math.isfinite(number):
            raise MetricNotFinite(f"{name} is {number}. Lower lr or set gradient-clip")
    print(" ".join(f"{name}={_text(number)}" for name, number in flat.items()), flush=True)


def _text(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.8g}"
