"""The hyperparameters of the algorithms: their types, limits and default values.

https://docs.aws.amazon.com/sagemaker/latest/dg/ll_hyperparameters.html
https://docs.aws.amazon.com/sagemaker/latest/dg/k-means-api-config.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ClientFault

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """A hyperparameter and the values that it may have."""

    kind: type = str  # int, float, bool, list or str
    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False  # the lowest value is greater than ``low``
    choices: tuple[str, ...] = ()  # of a text, or of each element of a list
    auto: bool = False  # whether it may be "auto"
    default: Any = None

    def parsed(self, name: str, text: str) -> Any:
        """Return a value.

        Raises:
            ClientFault: if the value is not valid.
        """
        if self.auto and text == AUTO:
            return AUTO
        try:
            value = self._converted(text)
        except ValueError:
            raise ClientFault(
                f"{text!r} is not a valid value of the hyperparameter {name}: expected "
                f"{self._expected()} (caused by ValidationError)"
            ) from None
        return value

    def _converted(self, text: str) -> Any:
        if self.kind is bool:
            return text.lower() == "true" if text.lower() in ("true", "false") else _refuse()
        if self.kind is list:
            values = json.loads(text)
            if isinstance(values, list) and set(map(str, values)) <= set(self.choices):
                return values
            return _refuse()
        if self.kind is str:
            return text if text in self.choices else _refuse()
        number = self.kind(text)
        is_low = number < self.low or (self.above_low and number == self.low)
        return _refuse() if is_low or not number <= self.high else number

    def _expected(self) -> str:
        if self.kind is list:
            return f"a JSON list of {', '.join(self.choices)}"
        if self.choices or self.kind is bool:
            expected = "one of " + ", ".join(self.choices or ("true", "false"))
        else:
            expected = "an integer" if self.kind is int else "a number"
            if self.low > -math.inf:
                expected += f" {'above' if self.above_low else 'from'} {self.low:g}"
            if self.high < math.inf:
                expected += f" up to {self.high:g}"
        return f"{expected} or auto" if self.auto else expected


def _refuse() -> Any:
    raise ValueError


def _integer(low: int = 1, *, high: float = math.inf, default: Any, auto: bool = False) -> Any:
    return Hyperparameter(kind=int, low=low, high=high, default=default, auto=auto)


def _positive(default: Any, *, auto: bool = False, high: float = math.inf) -> Any:
    return Hyperparameter(kind=float, low=0, above_low=True, high=high, default=default, auto=auto)


def _not_negative(default: Any, *, high: float = math.inf, auto: bool = True) -> Any:
    return Hyperparameter(kind=float, low=0, high=high, default=default, auto=auto)


def _choice(*choices: str, default: str) -> Any:
    return Hyperparameter(choices=choices, default=default)


def _flag(default: Any, *, auto: bool = False) -> Any:
    return Hyperparameter(kind=bool, default=default, auto=auto)


REGRESSION_LOSSES = (
    "squared_loss", "absolute_loss", "eps_insensitive_squared_loss",
    "eps_insensitive_absolute_loss", "quantile_loss", "huber_loss",
)  # fmt: skip
LOSSES = {
    "binary_classifier": ("logistic", "hinge_loss"),
    "multiclass_classifier": ("softmax_loss", "hinge_loss"),
    "regressor": REGRESSION_LOSSES,
}
LINEAR_LEARNER: Mapping[str, Hyperparameter] = {
    "predictor_type": Hyperparameter(choices=tuple(LOSSES)),
    "feature_dim": _integer(default=AUTO, auto=True),
    "num_classes": _integer(3, high=1_000_000, default=0),
    "accuracy_top_k": _integer(default=3),
    "balance_multiclass_weights": _flag(False),
    "beta_1": _not_negative(AUTO, high=1),
    "beta_2": _not_negative(AUTO, high=1),
    "bias_lr_mult": _positive(AUTO, auto=True),
    "bias_wd_mult": _not_negative(AUTO),
    "binary_classifier_model_selection_criteria": _choice(
        "accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision",
        "loss_function", default="accuracy",
    ),
    "early_stopping_patience": _integer(default=3),
    "early_stopping_tolerance": _positive(0.001),
    "epochs": _integer(default=15),
    "f_beta": _positive(1.0),
    "huber_delta": _positive(1.0),
    "init_bias": Hyperparameter(kind=float, default=0.0),
    "init_method": _choice("uniform", "normal", default="uniform"),
    "init_scale": _positive(0.07),
    "init_sigma": _positive(0.01),
    "l1": _not_negative(AUTO),
    "learning_rate": _positive(AUTO, auto=True),
    "loss": _choice(
        AUTO, "logistic", "softmax_loss", "hinge_loss", *REGRESSION_LOSSES, default=AUTO
    ),
    "loss_insensitivity": _positive(0.01),
    "lr_scheduler_factor": _positive(AUTO, auto=True, high=1),
    "lr_scheduler_minimum_lr": _positive(AUTO, auto=True),
    "lr_scheduler_step": _integer(default=AUTO, auto=True),
    "margin": _positive(1.0),
    "mini_batch_size": _integer(default=1000),
    "momentum": _not_negative(AUTO, high=1),
    "normalize_data": _flag(True, auto=True),
    "normalize_label": _flag(AUTO, auto=True),
    "num_calibration_samples": _integer(default=AUTO, auto=True),
    "num_models": _integer(default=AUTO, auto=True),
    "num_point_for_scaler": _integer(default=10_000),
    "optimizer": _choice(AUTO, "sgd", "adam", "rmsprop", default=AUTO),
    "positive_example_weight_mult": Hyperparameter(
        kind=float, low=0, above_low=True, auto=True, default=1.0
    ),
    "quantile": _not_negative(0.5, high=1, auto=False),
    "target_precision": _not_negative(0.8, high=1, auto=False),
    "target_recall": _not_negative(0.8, high=1, auto=False),
    "unbias_data": _flag(AUTO, auto=True),
    "unbias_label": _flag(AUTO, auto=True),
    "use_bias": _flag(True),
    "use_lr_scheduler": _flag(True),
    "wd": _not_negative(AUTO),
}  # fmt: skip
KMEANS: Mapping[str, Hyperparameter] = {
    "k": _integer(default=None),
    "feature_dim": _integer(default=None),
    "mini_batch_size": _integer(default=5000),
    "init_method": _choice("random", "kmeans++", default="random"),
    "extra_center_factor": _integer(default=AUTO, auto=True),
    "local_lloyd_max_iter": _integer(default=300),
    "local_lloyd_tol": _not_negative(0.0001, high=1, auto=False),
    "local_lloyd_init_method": _choice("random", "kmeans++", default="kmeans++"),
    "local_lloyd_num_trials": _integer(default=AUTO, auto=True),
    "half_life_time_size": _integer(0, default=0),
    "epochs": _integer(default=1),
    "eval_metrics": Hyperparameter(kind=list, choices=("msd", "ssd"), default=["msd"]),
    "force_dense": _flag(True),  # sent by the SageMaker SDK
}  # fmt: skip
BALANCED = "balanced"  # a further value of positive_example_weight_mult


def parsed(known: Mapping[str, Hyperparameter], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the value of each hyperparameter.

    Raises:
        ClientFault: if one is unknown, missing or not valid, in the words that public error
            reports quote.
    """
    own = {name: text for name, text in given.items() if not name.startswith("_")}
    for name in own:
        if name not in known:
            raise ClientFault(
                f"Additional hyperparameters are not allowed ({name!r} was unexpected) "
                "(caused by ValidationError)"
            )
    missing = [name for name, each in known.items() if each.default is None and name not in own]
    if missing:
        raise ClientFault(
            f"No value(s) were specified for {', '.join(map(repr, missing))} which are required "
            "hyperparameter(s) (caused by ValidationError)"
        )
    values = {name: each.default for name, each in known.items()}
    for name, text in own.items():
        if (name, text) == ("positive_example_weight_mult", BALANCED):
            values[name] = BALANCED
        else:
            values[name] = known[name].parsed(name, text)
    return values
