"""Each gradient of a loss is its derivative, and the losses are those of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import hinge_loss, log_loss, mean_pinball_loss

from hpoq.local.sagemaker.training.programs.amazon_algorithms.losses import loss_of, probabilities

VALUES = {"margin": 1.0, "loss_insensitivity": 0.2, "huber_delta": 0.5, "quantile": 0.3}
GENERATOR = np.random.default_rng(1)
SCORES = GENERATOR.normal(size=(40, 1))
OF_CLASSES = GENERATOR.normal(size=(40, 3))
BINARY = (GENERATOR.random(40) > 0.5).astype(float)
CLASSES = GENERATOR.integers(0, 3, 40).astype(float)
REAL = GENERATOR.normal(size=40)
CASES = {
    "binary_classifier": (SCORES, BINARY, ("auto", "logistic", "hinge_loss")),
    "multiclass_classifier": (OF_CLASSES, CLASSES, ("auto", "softmax_loss", "hinge_loss")),
    "regressor": (SCORES, REAL, (
        "auto", "squared_loss", "absolute_loss", "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss", "quantile_loss", "huber_loss",
    )),
}  # fmt: skip


def found(kind: str, name: str, scores: Any) -> Any:
    labels = CASES[kind][1]
    return loss_of(VALUES | {"predictor_type": kind, "loss": name}).of(scores, labels)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, case in CASES.items() for name in case[2]]
)
def test_the_gradient_is_the_derivative(kind: str, name: str) -> None:
    scores, step = CASES[kind][0], 1e-6
    _, gradient = found(kind, name, scores)
    for output in range(scores.shape[1]):
        change = np.zeros_like(scores)
        change[:, output] = step
        above, below = (found(kind, name, each)[0] for each in (scores + change, scores - change))
        np.testing.assert_allclose((above - below) / (2 * step), gradient[:, output], atol=1e-5)


def test_the_losses_are_those_of_scikit_learn() -> None:
    def mean(kind: str, name: str) -> float:
        return float(found(kind, name, CASES[kind][0])[0].mean())

    one = 1 / (1 + np.exp(-SCORES[:, 0]))
    assert mean("binary_classifier", "auto") == pytest.approx(log_loss(BINARY, one))
    expected = hinge_loss(BINARY, SCORES[:, 0])
    assert mean("binary_classifier", "hinge_loss") == pytest.approx(expected)
    expected = log_loss(CLASSES, probabilities(OF_CLASSES))
    assert mean("multiclass_classifier", "auto") == pytest.approx(expected)
    expected = hinge_loss(CLASSES, OF_CLASSES)
    assert mean("multiclass_classifier", "hinge_loss") == pytest.approx(expected)
    expected = mean_pinball_loss(REAL, SCORES[:, 0], alpha=0.3)
    assert mean("regressor", "quantile_loss") == pytest.approx(expected)
