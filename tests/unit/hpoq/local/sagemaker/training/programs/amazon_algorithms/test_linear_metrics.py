"""The metrics of the linear learner are those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hpoq.local.sagemaker.training.programs.amazon_algorithms.linear_metrics import (
    area_under_curve,
    best_threshold,
    metrics,
    rates,
)

GENERATOR = np.random.default_rng(1)
LABELS = (GENERATOR.random(300) > 0.7).astype(float)
SCORE = np.round(LABELS + GENERATOR.normal(0, 1, 300), 1)  # with ties
CRITERIA = "binary_classifier_model_selection_criteria"


def test_binary_metrics() -> None:
    found = metrics(
        SCORE[:, None], LABELS, 0.4, {"predictor_type": "binary_classifier", "f_beta": 2.0}
    )
    predicted = SCORE > 0.4
    assert found == pytest.approx({
        "binary_classification_accuracy <score>": sklearn_metrics.accuracy_score(LABELS, predicted),
        "binary_f_2.000 <score>": sklearn_metrics.fbeta_score(LABELS, predicted, beta=2),
        "precision <score>": sklearn_metrics.precision_score(LABELS, predicted),
        "recall <score>": sklearn_metrics.recall_score(LABELS, predicted),
        "roc_auc_score <score>": sklearn_metrics.roc_auc_score(LABELS, SCORE),
    })  # fmt: skip


def test_metrics_of_classes() -> None:
    labels = GENERATOR.integers(0, 4, 300)
    scores = GENERATOR.normal(size=(300, 4)) + np.eye(4)[labels]
    values = {"predictor_type": "multiclass_classifier", "f_beta": 1.0, "accuracy_top_k": 2}
    found = metrics(scores, labels.astype(float), 0, values)
    predicted = scores.argmax(1)
    macro = {"average": "macro"}
    assert found == pytest.approx({
        "multiclass_accuracy <score>": sklearn_metrics.accuracy_score(labels, predicted),
        "multiclass_top_k_accuracy_2 <score>": sklearn_metrics.top_k_accuracy_score(
            labels, scores, k=2
        ),
        "dcg <score>": sklearn_metrics.dcg_score(np.eye(4)[labels], scores),
        "macro_precision <score>": sklearn_metrics.precision_score(labels, predicted, **macro),
        "macro_recall <score>": sklearn_metrics.recall_score(labels, predicted, **macro),
        "macro_f_1.000 <score>": sklearn_metrics.f1_score(labels, predicted, **macro),
    })  # fmt: skip


def test_metrics_of_regression() -> None:
    found = metrics(SCORE[:, None], LABELS, 0, {"predictor_type": "regressor"})
    assert found["mse <loss>"] == pytest.approx(sklearn_metrics.mean_squared_error(LABELS, SCORE))
    expected = sklearn_metrics.mean_absolute_error(LABELS, SCORE)
    assert found["absolute_loss <loss>"] == pytest.approx(expected)


def test_metrics_of_one_class_are_zero_and_finite() -> None:
    assert area_under_curve(SCORE, np.zeros(300)) == 0
    assert rates(SCORE, np.zeros(300), 100) == (0, 0, 1)


# The criteria of ll_hyperparameters.html.
@pytest.mark.parametrize(
    ("criteria", "holds"),
    [
        ("accuracy", lambda p, r, a: a >= 0.7),
        ("precision_at_target_recall", lambda p, r, a: r >= 0.9),
        ("recall_at_target_precision", lambda p, r, a: p >= 0.8),
    ],
)
def test_the_threshold_meets_the_criteria(criteria: str, holds) -> None:  # type: ignore[no-untyped-def]
    values = {CRITERIA: criteria, "target_recall": 0.9, "target_precision": 0.8, "f_beta": 1.0}
    assert holds(*rates(SCORE, LABELS, best_threshold(SCORE, LABELS, values)))


def test_the_loss_function_keeps_the_threshold_at_zero() -> None:
    assert best_threshold(SCORE, LABELS, {CRITERIA: "loss_function"}) == 0
