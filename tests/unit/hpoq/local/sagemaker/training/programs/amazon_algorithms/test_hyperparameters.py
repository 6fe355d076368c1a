"""The hyperparameters of the linear learner and k-means, by the tables of the developer guide.

ll_hyperparameters.html and k-means-api-config.html
"""

from __future__ import annotations

from typing import Any

import pytest

from hpoq.local.sagemaker.training.programs.amazon_algorithms.errors import ClientFault
from hpoq.local.sagemaker.training.programs.amazon_algorithms.hyperparameters import (
    KMEANS,
    LINEAR_LEARNER,
    parsed,
)

TABLES = {"kmeans": KMEANS, "linear-learner": LINEAR_LEARNER}
LEAST = {
    "kmeans": {"k": "3", "feature_dim": "2"},
    "linear-learner": {"predictor_type": "binary_classifier"},
}


def value(algorithm: str, name: str, text: str) -> Any:
    return parsed(TABLES[algorithm], LEAST[algorithm] | {name: text})[name]


def test_the_default_values_are_those_of_the_guide() -> None:
    kmeans = parsed(KMEANS, LEAST["kmeans"])
    assert kmeans == {
        "k": 3, "feature_dim": 2, "mini_batch_size": 5000, "init_method": "random",
        "extra_center_factor": "auto", "local_lloyd_max_iter": 300, "local_lloyd_tol": 0.0001,
        "local_lloyd_init_method": "kmeans++", "local_lloyd_num_trials": "auto",
        "half_life_time_size": 0, "epochs": 1, "eval_metrics": ["msd"], "force_dense": True,
    }  # fmt: skip
    linear = parsed(LINEAR_LEARNER, LEAST["linear-learner"])
    expected = {
        "accuracy_top_k": 3, "epochs": 15, "early_stopping_patience": 3, "f_beta": 1.0,
        "early_stopping_tolerance": 0.001, "huber_delta": 1.0, "init_scale": 0.07,
        "init_sigma": 0.01, "loss_insensitivity": 0.01, "mini_batch_size": 1000,
        "num_point_for_scaler": 10_000, "positive_example_weight_mult": 1.0, "quantile": 0.5,
        "target_precision": 0.8, "target_recall": 0.8, "use_bias": True,
        "binary_classifier_model_selection_criteria": "accuracy", "normalize_data": True,
        "learning_rate": "auto", "l1": "auto", "wd": "auto", "optimizer": "auto", "loss": "auto",
    }  # fmt: skip
    assert {name: linear[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("algorithm", "name", "text", "expected"),
    [
        ("kmeans", "extra_center_factor", "7", 7),
        ("kmeans", "extra_center_factor", "auto", "auto"),
        ("kmeans", "init_method", "kmeans++", "kmeans++"),
        # aws/sagemaker-python-sdk issue 889: JSON is what the algorithm reads.
        ("kmeans", "eval_metrics", '["msd", "ssd"]', ["msd", "ssd"]),
        ("kmeans", "local_lloyd_tol", "0", 0.0),
        ("linear-learner", "learning_rate", "1e-05", 1e-5),
        # Categories of a tuned flag are [True, False]: linear-learner-tuning.html.
        ("linear-learner", "use_bias", "False", False),
        ("linear-learner", "use_bias", "true", True),
        ("linear-learner", "positive_example_weight_mult", "balanced", "balanced"),
        ("linear-learner", "positive_example_weight_mult", "100000.0", 100000.0),
        ("linear-learner", "wd", "0", 0.0),
    ],
)
def test_valid_values(algorithm: str, name: str, text: str, expected: Any) -> None:
    assert value(algorithm, name, text) == expected


@pytest.mark.parametrize(
    ("algorithm", "name", "text"),
    [
        ("kmeans", "k", "0"),
        ("kmeans", "k", "2.5"),
        ("kmeans", "k", "auto"),
        ("kmeans", "init_method", "k-means++"),
        ("kmeans", "local_lloyd_tol", "1.5"),
        ("kmeans", "half_life_time_size", "-1"),
        # aws/sagemaker-python-sdk issue 889: what the SDK sent, and the algorithm refused.
        ("kmeans", "eval_metrics", "['msd', 'ssd']"),
        ("kmeans", "eval_metrics", '["mse"]'),
        ("linear-learner", "predictor_type", "classifier"),
        ("linear-learner", "num_classes", "2"),
        ("linear-learner", "learning_rate", "0"),
        ("linear-learner", "learning_rate", "nan"),
        ("linear-learner", "quantile", "1.1"),
        ("linear-learner", "use_bias", "auto"),
        ("linear-learner", "loss", "cross_entropy"),
        ("linear-learner", "optimizer", "adagrad"),
        ("linear-learner", "mini_batch_size", "-5"),
    ],
)
def test_values_that_the_guide_excludes_are_refused(algorithm: str, name: str, text: str) -> None:
    with pytest.raises(ClientFault, match=f"is not a valid value of the hyperparameter {name}"):
        value(algorithm, name, text)


# kubeflow/pipelines issue 1370 quotes this FailureReason.
def test_required_hyperparameters_are_named_in_the_words_of_aws() -> None:
    with pytest.raises(ClientFault) as raised:
        parsed(KMEANS, {})
    assert str(raised.value) == (
        "No value(s) were specified for 'k', 'feature_dim' which are required hyperparameter(s) "
        "(caused by ValidationError)"
    )


# Public reports of Amazon's algorithms quote this FailureReason for an unknown name.
def test_an_unknown_hyperparameter_is_named_in_the_words_of_aws() -> None:
    with pytest.raises(ClientFault) as raised:
        value("kmeans", "augmentation type", "1")
    assert str(raised.value) == (
        "Additional hyperparameters are not allowed ('augmentation type' was unexpected) "
        "(caused by ValidationError)"
    )


def test_the_objective_of_a_tuning_job_is_no_hyperparameter_of_the_algorithm() -> None:
    given = LEAST["kmeans"] | {"_tuning_objective_metric": "test:msd"}
    assert "_tuning_objective_metric" not in parsed(KMEANS, given)
