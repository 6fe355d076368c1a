"""Amazon's linear learner: one linear model, trained by stochastic gradient descent.

https://docs.aws.amazon.com/sagemaker/latest/dg/linear-learner.html
AWS trains several models at once unless a tuning job chooses the hyperparameters, and does not
publish what "auto" means. Here it is one model, and the constants below.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ClientFault
from .hyperparameters import AUTO, BALANCED, LOSSES
from .linear_metrics import best_threshold, lines, metrics
from .losses import Loss, loss_of
from .record_io import DataRows

Array = np.ndarray[Any, np.dtype[np.float64]]
Values = Mapping[str, Any]
Say = Callable[[str], None]
# What "auto" means here.
LEARNING_RATES = {"adam": 0.005, "rmsprop": 0.005, "sgd": 0.01}
FADING = {"beta_1": 0.9, "beta_2": 0.999, "momentum": 0.9}
SCHEDULE = {"lr_scheduler_step": 100, "lr_scheduler_factor": 0.99, "lr_scheduler_minimum_lr": 1e-5}


@dataclass
class Model:
    """A linear model of features that are shifted and scaled first."""

    weights: Array  # features × outputs
    bias: Array  # outputs
    center: Array
    scale: Array
    label_center: float
    label_scale: float
    threshold: float = 0.0  # of the score, from which a binary label is 1

    def scores(self, features: Array) -> Array:
        """Return the scores of each row, in the units of the labels."""
        shifted = (features - self.center) / self.scale
        return (shifted @ self.weights + self.bias) * self.label_scale + self.label_center

    def save(self, file: Path) -> None:
        """Write the model as JSON, with the weights of the features as they are."""
        scaled = self.weights / self.scale[:, None] * self.label_scale
        bias = self.bias * self.label_scale + self.label_center - self.center @ scaled
        content = {"weights": scaled.tolist(), "bias": bias.tolist(), "threshold": self.threshold}
        file.write_text(json.dumps(content))


def check(values: Values) -> None:
    """Check what hyperparameters require of each other.

    Raises:
        ClientFault: if they contradict each other.
    """
    kind, loss = values["predictor_type"], values["loss"]
    if kind == "multiclass_classifier" and not values["num_classes"]:
        raise ClientFault(
            "No value(s) were specified for 'num_classes' which are required hyperparameter(s) "
            "(caused by ValidationError)"
        )
    if loss not in (AUTO, *LOSSES[kind]):
        raise ClientFault(f"The loss {loss} is not one of a {kind}: {', '.join(LOSSES[kind])}")


def check_labels(rows: DataRows, channel: str, values: Values) -> None:
    """Check the labels of a channel.

    Raises:
        ClientFault: if one is not a class.
    """
    count = {"binary_classifier": 2, "multiclass_classifier": values["num_classes"]}.get(
        values["predictor_type"]
    )
    if count and not np.isin(rows.labels, np.arange(count)).all():
        raise ClientFault(f"The labels of the channel {channel} are not all from 0 to {count - 1}")


def train(values: Values, channels: Mapping[str, DataRows], say: Say, seed: int) -> Model:
    """Train a model on the channel ``train`` and say the metrics of all channels.

    Args:
        values: of the hyperparameters.
        channels: ``train``, and ``validation`` and ``test`` if there are any.
        say: writes a line to the log.
        seed: of the first weights and the order of the rows.
    """
    check(values)
    for name, rows in channels.items():
        check_labels(rows, name, values)
    generator = np.random.default_rng(seed)
    rows = channels["train"]
    model, loss = _new_model(values, rows, generator), loss_of(values)
    _fit(model, loss, values, channels, say=say, generator=generator)
    judged = channels.get("validation", rows)
    if values["predictor_type"] == "binary_classifier":
        count = values["num_calibration_samples"]
        chosen = slice(None if count == AUTO else count)
        scores = model.scores(judged.features[chosen])[:, 0]
        model.threshold = best_threshold(scores, judged.labels[chosen], values)
    for name, each in channels.items():
        scores = model.scores(each.features)
        found = {f"{loss.name}_objective <loss>": float(loss.of(scores, each.labels)[0].mean())}
        found |= metrics(scores, each.labels, model.threshold, values)
        for line in lines(name, found):
            say(line)
    return model


def _new_model(values: Values, rows: DataRows, generator: np.random.Generator) -> Model:
    features, labels = (
        each[: values["num_point_for_scaler"]] for each in (rows.features, rows.labels)
    )
    width, is_regressor = features.shape[1], values["predictor_type"] == "regressor"
    outputs = values["num_classes"] if values["predictor_type"] == "multiclass_classifier" else 1
    shape = (width, outputs)
    if values["init_method"] == "normal":
        weights = generator.normal(0, values["init_sigma"], shape)
    else:
        weights = generator.uniform(-values["init_scale"], values["init_scale"], shape)
    normalized = values["normalize_data"] in (True, AUTO)
    centered = values["unbias_data"] if values["unbias_data"] != AUTO else values["use_bias"]
    of_label = is_regressor and values["normalize_label"] in (True, AUTO)
    center_label = is_regressor and values["use_bias"] and values["unbias_label"] in (True, AUTO)
    scale = features.std(0)
    return Model(
        weights=weights,
        bias=np.full(outputs, values["init_bias"]),
        center=features.mean(0) if normalized or centered else np.zeros(width),
        scale=np.where(scale > 0, scale, 1.0) if normalized else np.ones(width),
        label_center=float(labels.mean()) if of_label or center_label else 0.0,
        label_scale=(float(labels.std()) or 1.0) if of_label else 1.0,
    )


def _fit(
    model: Model,
    loss: Loss,
    values: Values,
    channels: Mapping[str, DataRows],
    *,
    say: Say,
    generator: np.random.Generator,
) -> None:
    """Change the model until no epoch is left, or none has helped for some."""
    rows, size = channels["train"], values["mini_batch_size"]
    features = (rows.features - model.center) / model.scale
    labels = (rows.labels - model.label_center) / model.label_scale
    weight = _row_weights(rows.labels, values)
    step = _Steps(model, values)
    best, waited = np.inf, 0
    for epoch in range(values["epochs"]):
        began = time.perf_counter()
        order = generator.permutation(len(labels))
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            scores = features[chosen] @ model.weights + model.bias
            _, gradient = loss.of(scores, labels[chosen])
            gradient *= weight[chosen, None] / len(chosen)
            step.make(features[chosen].T @ gradient, gradient.sum(0))
        judged = 0.0
        for name in ("train", "validation"):
            if name in channels:
                found = loss.of(model.scores(channels[name].features), channels[name].labels)[0]
                judged = float(found.mean())
                say(
                    f"#quality_metric: host=algo-1, epoch={epoch}, {name} {loss.name}_objective "
                    f"<loss>={judged!r}"
                )
        done = 100 * (epoch + 1) / values["epochs"]
        say(f"#progress_metric: host=algo-1, completed {done:g} % of epochs")
        speed = len(order) / max(time.perf_counter() - began, 1e-9)
        say(f"#throughput_metric: host=algo-1, train throughput={speed:.1f} records/second")
        better = judged < best - abs(best) * values["early_stopping_tolerance"]
        waited = 0 if better or not np.isfinite(best) else waited + 1
        best = min(best, judged)
        if waited >= values["early_stopping_patience"]:
            return


def _row_weights(labels: Array, values: Values) -> Array:
    """Return the weight of each row in the loss."""
    weights = np.ones(len(labels))
    positive = values["positive_example_weight_mult"]
    if values["predictor_type"] == "binary_classifier" and positive != AUTO:
        ones = float(labels.sum())
        if positive == BALANCED:
            positive = (len(labels) - ones) / ones if ones else 1.0
        weights[labels > 0] = positive
    if values["predictor_type"] == "multiclass_classifier" and values["balance_multiclass_weights"]:
        counts = np.bincount(labels.astype(int), minlength=values["num_classes"])
        weights = (len(labels) / (counts.astype(bool).sum() * np.maximum(counts, 1)))[
            labels.astype(int)
        ]
    return weights


class _Steps:
    """The steps of an optimizer, with regularization."""

    def __init__(self, model: Model, values: Values) -> None:
        self._model = model
        self._optimizer = "adam" if values["optimizer"] == AUTO else values["optimizer"]
        auto = {**FADING, **SCHEDULE, "learning_rate": LEARNING_RATES[self._optimizer],
                "l1": 0.0, "wd": 0.0, "bias_lr_mult": 1.0, "bias_wd_mult": 0.0}  # fmt: skip
        self._values = {
            name: auto[name] if value == AUTO and name in auto else value
            for name, value in values.items()
        }
        self._count = 0
        self._mean = [np.zeros_like(model.weights), np.zeros_like(model.bias)]
        self._square = [np.zeros_like(model.weights), np.zeros_like(model.bias)]

    def make(self, weights: Array, bias: Array) -> None:
        """Make a step against the gradients of the weights and of the bias."""
        values, model = self._values, self._model
        rate = self._rate()
        self._count += 1
        model.weights -= rate * self._direction(0, weights + values["wd"] * model.weights)
        shrunk = np.abs(model.weights) - rate * values["l1"]
        model.weights[:] = np.sign(model.weights) * np.maximum(shrunk, 0)
        if values["use_bias"]:
            decay = values["wd"] * values["bias_wd_mult"]
            moved = self._direction(1, bias + decay * model.bias)
            model.bias -= rate * values["bias_lr_mult"] * moved

    def _rate(self) -> float:
        values = self._values
        rate = float(values["learning_rate"])
        if not values["use_lr_scheduler"]:
            return rate
        times = self._count // values["lr_scheduler_step"]
        least = min(rate, values["lr_scheduler_minimum_lr"])
        return float(max(least, rate * values["lr_scheduler_factor"] ** times))

    def _direction(self, which: int, gradient: Array) -> Array:
        values = self._values
        if self._optimizer == "sgd":
            self._mean[which] = values["momentum"] * self._mean[which] + gradient
            return self._mean[which]
        first = values["beta_1"] if self._optimizer == "adam" else 0.0
        second = min(values["beta_2"], 1 - 1e-9)
        first = min(first, 1 - 1e-9)
        self._mean[which] = first * self._mean[which] + (1 - first) * gradient
        self._square[which] = second * self._square[which] + (1 - second) * gradient**2
        mean = self._mean[which] / (1 - first**self._count)
        square = self._square[which] / (1 - second**self._count)
        return np.asarray(mean / (np.sqrt(square) + 1e-8))
