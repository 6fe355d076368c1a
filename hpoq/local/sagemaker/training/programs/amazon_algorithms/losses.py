"""The loss functions of the linear learner, and their gradients by the scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Loss:
    """A loss function.

    Args:
        name: in the log, where "_objective" follows it.
        of: returns the loss of each row, and its gradient by the scores.
    """

    name: str
    of: Callable[[Array, Array], tuple[Array, Array]]


def loss_of(values: Values) -> Loss:
    """Return the loss function that the hyperparameters name."""
    name, kind = values["loss"], values["predictor_type"]
    if kind == "binary_classifier":
        if name == "hinge_loss":
            return Loss(name, lambda scores, labels: _hinge(scores, labels, values["margin"]))
        return Loss("binary_classification_cross_entropy", _logistic)
    if kind == "multiclass_classifier":
        if name == "hinge_loss":
            return Loss(name, lambda scores, labels: _hinge_of_classes(scores, labels, values))
        return Loss("multiclass_cross_entropy", _softmax)
    chosen = "squared_loss" if name == "auto" else name
    of_error = _of_error(chosen, values)

    def of(scores: Array, labels: Array) -> tuple[Array, Array]:
        loss, gradient = of_error(scores[:, 0] - labels)
        return loss, gradient[:, None]

    return Loss("mse" if chosen == "squared_loss" else chosen, of)


def probabilities(scores: Array) -> Array:
    """Return the probability of each class."""
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _logistic(scores: Array, labels: Array) -> tuple[Array, Array]:
    score = scores[:, 0]
    gradient = 1 / (1 + np.exp(-np.clip(score, -500, 500))) - labels
    return np.logaddexp(0, score) - labels * score, gradient[:, None]


def _hinge(scores: Array, labels: Array, margin: float) -> tuple[Array, Array]:
    sign = 2 * labels - 1
    loss = np.maximum(0, margin - sign * scores[:, 0])
    return loss, np.where(loss > 0, -sign, 0.0)[:, None]


def _softmax(scores: Array, labels: Array) -> tuple[Array, Array]:
    gradient = probabilities(scores)
    rows = np.arange(len(labels))
    loss = -np.log(np.maximum(gradient[rows, labels.astype(int)], 1e-300))
    gradient[rows, labels.astype(int)] -= 1
    return loss, gradient


def _hinge_of_classes(scores: Array, labels: Array, values: Values) -> tuple[Array, Array]:
    rows, right = np.arange(len(labels)), labels.astype(int)
    excess = scores + values["margin"] - scores[rows, right][:, None]
    excess[rows, right] = 0
    worst = excess.argmax(1)
    loss = excess[rows, worst]
    gradient = np.zeros_like(scores)
    gradient[rows, worst] = 1
    gradient[rows, right] -= 1
    return loss, gradient * (loss > 0)[:, None]


def _of_error(name: str, values: Values) -> Callable[[Array], tuple[Array, Array]]:
    """Return a loss that depends on the difference of score and label."""
    width, delta, quantile = (
        values[each] for each in ("loss_insensitivity", "huber_delta", "quantile")
    )

    def outside(error: Array) -> Array:
        return np.asarray(np.sign(error) * np.maximum(np.abs(error) - width, 0))

    def huber(error: Array) -> tuple[Array, Array]:
        clipped = np.clip(error, -delta, delta)
        return clipped * (error - clipped / 2), clipped

    losses: dict[str, Callable[[Array], tuple[Array, Array]]] = {
        "squared_loss": lambda e: (e**2, 2 * e),
        "absolute_loss": lambda e: (np.abs(e), np.sign(e)),
        "eps_insensitive_squared_loss": lambda e: (outside(e) ** 2, 2 * outside(e)),
        "eps_insensitive_absolute_loss": lambda e: (np.abs(outside(e)), np.sign(outside(e))),
        "quantile_loss": lambda e: (
            np.maximum((1 - quantile) * e, -quantile * e),
            np.where(e > 0, 1 - quantile, -quantile),
        ),
        "huber_loss": huber,
    }
    return losses[name]
