"""What a training run reports: AUC, F1 and loss, printed as SageMaker's regexes find them."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional


class MetricNotFinite(ArithmeticError):
    """Training has diverged; its metrics are not numbers any more."""


def auc(score: Tensor, target: Tensor) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    Args:
        score: [rows], any monotonous measure of the default's likelihood.
        target: [rows], 0 or 1, both present.
    """
    values, place, count = torch.unique(score, return_inverse=True, return_counts=True)
    rank = (count.cumsum(0).double() - (count - 1) / 2)[place]  # from 1; ties share the mean
    positives = float(target.sum())
    negatives = len(target) - positives
    if values.isnan().any():
        return math.nan
    of_positives = float(rank[target == 1].sum())
    return (of_positives - positives * (positives + 1) / 2) / (positives * negatives)


def f1(score: Tensor, target: Tensor, threshold: float) -> float:
    """Harmonic mean of precision and recall, calling scores from `threshold` on positive."""
    called = score >= threshold
    hits = float(target[called].sum())
    return 2 * hits / max(float(called.sum() + target.sum()), 1.0)


def best_threshold(score: Tensor, target: Tensor) -> float:
    """The score from which on calling positive gives the highest F1."""
    ordered, order = score.sort(descending=True)
    hits = target[order].cumsum(0)
    called = torch.arange(1, len(score) + 1, device=score.device)
    scores = 2 * hits / (called + target.sum())
    # Rows of equal score are called together: only the last of them is a possible cut.
    last_of_ties = torch.cat([ordered[1:] != ordered[:-1], ordered.new_ones(1, dtype=torch.bool)])
    return float(ordered[torch.where(last_of_ties, scores, -1.0).argmax()])


def loss(logit: Tensor, target: Tensor) -> float:
    """Mean cross entropy, in nats."""
    return float(functional.binary_cross_entropy_with_logits(logit, target))


def evaluate(logit: Tensor, target: Tensor, threshold: float) -> dict[str, float]:
    """The three metrics; `threshold` is a logit."""
    return {
        "auc": auc(logit, target),
        "f1": f1(logit, target, threshold),
        "loss": loss(logit, target),
    }


def report(**values: float | Mapping[str, float]) -> None:
    """Print one line such as `epoch=3 train:loss=0.42 validation:auc=0.78`.

    Raises:
        MetricNotFinite: one of them is not a number; no line is printed then.
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
