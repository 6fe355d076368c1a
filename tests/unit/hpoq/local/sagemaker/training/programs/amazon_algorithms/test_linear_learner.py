"""The linear learner finds what scikit-learn finds, and prints what the definitions match."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hpoq.local.sagemaker.built_in_algorithms import LINEAR_LEARNER as ALGORITHM
from hpoq.local.sagemaker.training.programs.amazon_algorithms.errors import ClientFault
from hpoq.local.sagemaker.training.programs.amazon_algorithms.hyperparameters import (
    LINEAR_LEARNER,
    parsed,
)
from hpoq.local.sagemaker.training.programs.amazon_algorithms.linear_learner import Model, train
from hpoq.local.sagemaker.training.programs.amazon_algorithms.record_io import DataRows

GENERATOR = np.random.default_rng(1)
FEATURES = GENERATOR.normal(3, [1, 10, 0.1], (400, 3))
SCORES = (FEATURES - 3) @ [2, -0.1, 5] + 0.3
BINARY = DataRows(FEATURES, (SCORES + GENERATOR.logistic(size=400) > 0).astype(float))
REGRESSION = DataRows(FEATURES, SCORES + GENERATOR.normal(0, 0.1, 400))
CLASSES = DataRows(FEATURES, np.digitize(SCORES, [-1, 1]).astype(float))
KINDS = {"binary_classifier": BINARY, "regressor": REGRESSION, "multiclass_classifier": CLASSES}


def trained(kind: str, log: list[str] | None = None, **given: str) -> Model:
    rows = KINDS[kind]
    channels = {
        "train": DataRows(rows.features[:300], rows.labels[:300]),
        "validation": DataRows(rows.features[300:350], rows.labels[300:350]),
        "test": DataRows(rows.features[350:], rows.labels[350:]),
    }
    classes = {"num_classes": "3"} if kind == "multiclass_classifier" else {}
    values = parsed(
        LINEAR_LEARNER,
        {"predictor_type": kind, "mini_batch_size": "50", "epochs": "30", **classes, **given},
    )
    return train(values, channels, (log if log is not None else []).append, 1)


def values_of(metric: str, log: list[str]) -> list[float]:
    pattern = re.compile(ALGORITHM.metrics[metric])
    return [float(found[1]) for line in log if (found := pattern.search(line))]


def test_a_binary_classifier_orders_rows_as_logistic_regression_does() -> None:
    model = trained("binary_classifier", learning_rate="0.05", early_stopping_patience="30")
    expected = LogisticRegression().fit(
        (FEATURES[:300] - FEATURES[:300].mean(0)) / FEATURES[:300].std(0), BINARY.labels[:300]
    )
    scaled = expected.decision_function((FEATURES - FEATURES.mean(0)) / FEATURES.std(0))
    assert np.corrcoef(model.scores(FEATURES)[:, 0], scaled)[0, 1] > 0.99


def test_a_regressor_finds_the_weights(tmp_path: Path) -> None:
    model = trained("regressor", learning_rate="0.05", early_stopping_patience="30")
    model.save(tmp_path / "model.json")
    saved = json.loads((tmp_path / "model.json").read_text())
    np.testing.assert_allclose(np.ravel(saved["weights"]), [2, -0.1, 5], atol=0.2)
    predicted = FEATURES @ np.array(saved["weights"]) + saved["bias"]
    np.testing.assert_allclose(predicted, model.scores(FEATURES))


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_has_every_metric_of_the_kind(kind: str) -> None:
    log: list[str] = []
    trained(kind, log)
    only = {
        "regressor": {"mse", "absolute_loss"},
        "binary_classifier": {
            "binary_classification_accuracy", "binary_f_beta", "precision", "recall",
            "roc_auc_score",
        },
        "multiclass_classifier": {
            "multiclass_accuracy", "multiclass_top_k_accuracy", "dcg", "macro_f_beta",
            "macro_precision", "macro_recall",
        },
    }[kind]  # fmt: skip
    for channel in ("validation", "test"):
        found = {
            name.partition(":")[2] for name in ALGORITHM.metrics
            if name.startswith(f"{channel}:") and values_of(name, log)
        }  # fmt: skip
        assert found - {"objective_loss", "objective_loss:final"} == only
    # "The mean value of the objective loss function on the validation dataset every epoch"
    epochs = values_of("validation:objective_loss", log)
    assert 1 < len(epochs) <= 30
    assert epochs[-1] < epochs[0]
    assert values_of("train:progress", log)[0] == pytest.approx(100 / 30, rel=1e-4)
    assert all(value > 0 for value in values_of("train:throughput", log))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_each_optimizer_learns(optimizer: str) -> None:
    log: list[str] = []
    trained("binary_classifier", log, optimizer=optimizer)
    assert values_of("test:roc_auc_score", log)[0] > 0.8


def test_regularization_makes_weights_smaller_or_zero() -> None:
    free, l2, l1 = (
        np.abs(trained("regressor", learning_rate="0.05", **each).weights)
        for each in ({}, {"wd": "1"}, {"l1": "1"})
    )
    assert l2.sum() < 0.8 * free.sum()
    assert (l1 == 0).any()


def test_a_model_without_bias_has_none() -> None:
    assert trained("binary_classifier", use_bias="false").bias.tolist() == [0]


def test_a_greater_weight_of_positive_rows_raises_their_scores() -> None:
    light, heavy = (
        trained("binary_classifier", positive_example_weight_mult=each).scores(FEATURES).mean()
        for each in ("0.1", "10")
    )
    assert heavy > light + 1


def test_training_stops_early_without_improvement() -> None:
    log: list[str] = []
    trained("regressor", log, learning_rate="1e-12", early_stopping_patience="2")
    assert len(values_of("train:objective_loss", log)) == 3


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (
            "binary_classifier",
            {"loss": "squared_loss"},
            "squared_loss is not one of a binary",
        ),
        ("regressor", {"loss": "logistic"}, "The loss logistic is not one of a regressor"),
    ],
)
def test_a_loss_of_another_kind_is_refused(kind: str, given: dict[str, str], said: str) -> None:
    with pytest.raises(ClientFault, match=said):
        trained(kind, **given)


# linear-learner.html: "the label must be either 0 or 1", "from 0 to num_classes - 1".
@pytest.mark.parametrize("kind", ["binary_classifier", "multiclass_classifier"])
def test_labels_that_are_no_classes_are_refused(kind: str) -> None:
    channels = {"train": DataRows(FEATURES, REGRESSION.labels)}
    values: dict[str, Any] = parsed(LINEAR_LEARNER, {"predictor_type": kind, "num_classes": "3"})
    with pytest.raises(ClientFault, match="labels of the channel train are not all from 0"):
        train(values, channels, print, 1)
