"""The hyperparameters that a tuning job tries next, suggested by Optuna."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from hpoq.local.sagemaker.errors import invalid
from hpoq.local.sagemaker.tuning import gaussian_process

Values = dict[str, str]  # hyperparameters as the API writes them

optuna.logging.set_verbosity(optuna.logging.ERROR)

# SageMaker does not publish when "Auto" means logarithmic. Here: from three decades on.
AUTO_LOGARITHMIC = 1000.0
INTEGER = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
DECIMAL = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
FEW_NUMBERS = 10  # searched at once by a Gaussian process
MOST_OF_LONG = 2**63


@dataclass(frozen=True)
class NumericScale:
    """The scale of a number: its lowest value is 0, its highest one 1."""

    low: float
    high: float
    log: bool
    is_integer: bool

    def of(self, value: float) -> float:
        """Return the share of the range that is below a value."""
        low, high, value = map(self._scaled, (self.low, self.high, value))
        return (value - low) / (high - low) if high > low else 0.5

    def value(self, share: float) -> float | int:
        """Return the value at a share of the range."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        found = low + share * (high - low)
        found = math.exp(found) if self.log else found
        return min(max(round(found) if self.is_integer else found, self.low), self.high)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


@dataclass(frozen=True)
class Parameter:
    """A searched hyperparameter, and the conversion of its values to the API's text."""

    distribution: BaseDistribution
    low: float = 0.0  # of numbers
    high: float = 0.0
    is_reversed: bool = False  # the search sees the distance from 1

    @property
    def unit(self) -> NumericScale | None:
        """The scale of the search, or None for categories."""
        found = self.distribution
        if isinstance(found, IntDistribution | FloatDistribution):
            is_integer = isinstance(found, IntDistribution)
            return NumericScale(found.low, found.high, found.log, is_integer)
        return None

    def written(self, value: Any) -> str:
        """Return a value as text, limited to the range in spite of rounding."""
        if isinstance(self.distribution, CategoricalDistribution):
            return str(value)
        return str(min(max(1 - value if self.is_reversed else value, self.low), self.high))

    def read(self, text: str) -> Any:
        """Parse a value for the search; return None if it is outside the range."""
        value: Any = text
        if not isinstance(self.distribution, CategoricalDistribution):
            try:
                value = float(text)
            except ValueError:
                return None
            if self.is_reversed:
                value = 1 - value
            elif isinstance(self.distribution, IntDistribution):
                value = round(value)
        try:
            internal = self.distribution.to_internal_repr(value)
        except ValueError:
            return None
        return value if self.distribution._contains(internal) else None


class HyperparameterSearch:
    """A search that suggests hyperparameters and uses the results of training jobs.

    The same seed gives the same suggestions. For Random and Hyperband, a suggestion depends only
    on its number. For Bayesian, it also depends on the results known when it is made.

    Args:
        config: HyperParameterTuningJobConfig.
        ranges: ParameterRanges of the configuration or of a definition.
        maximize: whether higher values of the objective are better.
        seed: of the suggestions.
    """

    def __init__(
        self, config: Mapping[str, Any], ranges: Mapping[str, Any], maximize: bool, seed: int
    ) -> None:
        self._strategy, self._seed = config["Strategy"], seed
        self._space = parameters(ranges)
        self._distributions = {name: each.distribution for name, each in self._space.items()}
        self._grid = _grid(ranges) if self._strategy == "Grid" else None
        direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
        self._study = optuna.create_study(direction=direction)
        self._asked: dict[int, int] = {}  # number of the training job -> Optuna's trial number
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """The number of different suggestions."""
        return len(self._grid) if self._grid is not None else sys.maxsize

    def ask(self, number: int) -> Values:
        """Return the hyperparameters of the ``number``-th training job, counted from 0."""
        if self._grid is not None:
            return self._grid[number]
        with self._lock:
            chosen = self._by_gaussian_process(number)
            if chosen is None:
                self._study.sampler = self._sampler(number)
            else:
                self._study.enqueue_trial(chosen)
            trial = self._study.ask(self._distributions)
            self._asked[number] = trial.number
        return {name: each.written(trial.params[name]) for name, each in self._space.items()}

    def tell(self, number: int, objective: float | None) -> None:
        """Record the result of a training job; None if it has none."""
        with self._lock:
            trial = self._asked.pop(number, None)
            if trial is None:
                return
            if objective is not None and math.isfinite(objective):
                self._study.tell(trial, objective)
            else:
                self._study.tell(trial, state=TrialState.FAIL)

    def add_result(self, values: Mapping[str, str], objective: float) -> bool:
        """Record a result of a parent, or of this tuning job before the cloud restarted.

        Returns:
            False if the values are outside these ranges, so that the result is not used.
        """
        return self._add(values, state=TrialState.COMPLETE, value=objective)

    def add_running(self, number: int, values: Mapping[str, str]) -> None:
        """Record a training job that started before the cloud restarted and runs again."""
        with self._lock:
            trial = len(self._study.trials)
            if self._add(values, state=TrialState.RUNNING):
                self._asked[number] = trial

    def _add(self, values: Mapping[str, str], **outcome: Any) -> bool:
        known = {
            name: each.read(values[name]) for name, each in self._space.items() if name in values
        }
        if len(known) < len(self._space) or None in known.values():
            return False
        trial = create_trial(params=known, distributions=self._distributions, **outcome)
        self._study.add_trial(trial)
        return True

    def _by_gaussian_process(self, number: int) -> dict[str, Any] | None:
        """Return the parameters that a Gaussian process suggests, or None.

        It is better than Optuna's estimator for a few numbers, and cannot compare categories:
        docs/decisions/0040.
        """
        units = [each.unit for each in self._space.values()]
        if self._strategy != "Bayesian" or not 0 < len(units) <= FEW_NUMBERS or None in units:
            return None
        known = [(trial, self._score(trial)) for trial in self._study.get_trials(deepcopy=False)]
        results = [score for _, score in known if score is not None]
        first = len(units) + 2
        if not results or (number < first and len(results) < first):
            point = gaussian_process.space_filling(number, len(units), self._seed)
        else:
            scored, pending = [], []
            for trial, score in known:
                values = [trial.params[name] for name in self._space]
                row = [unit.of(value) for unit, value in zip(units, values, strict=True) if unit]
                if score is not None or trial.state == TrialState.FAIL:
                    scored.append((row, min(results) if score is None else score))
                else:
                    pending.append(row)
            try:
                point = gaussian_process.suggestion(
                    np.array([row for row, _ in scored]),
                    np.array([score for _, score in scored]),
                    np.array(pending).reshape(-1, len(units)),
                    self._seed_of(number),
                )
            except np.linalg.LinAlgError:
                return None
        rows = zip(self._space, units, point, strict=True)
        return {name: unit.value(float(share)) for name, unit, share in rows if unit}

    def _score(self, trial: optuna.trial.FrozenTrial) -> float | None:
        """Return a trial's result, higher is better; None if it has none."""
        if trial.state != TrialState.COMPLETE or trial.value is None:
            return None
        return trial.value if self._study.direction == StudyDirection.MAXIMIZE else -trial.value

    def _seed_of(self, number: int) -> int:
        text = f"{self._seed}/{number}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:4])

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Return a sampler whose seed depends only on the search's seed and the number."""
        seed = self._seed_of(number)
        if self._strategy == "Bayesian":
            # constant_liar counts running training jobs as tried, which parallel searches need.
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True)
        return optuna.samplers.RandomSampler(seed=seed)


def parameters(ranges: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the searched hyperparameters by name.

    Raises:
        ApiError: if a range is empty or cannot have the requested scaling.
    """
    found: dict[str, Parameter] = {}
    for each in ranges.get("CategoricalParameterRanges", ()):
        found[each["Name"]] = Parameter(CategoricalDistribution(tuple(each["Values"])))
    for kind, number in (("IntegerParameterRanges", int), ("ContinuousParameterRanges", float)):
        for each in ranges.get(kind, ()):
            found[each["Name"]] = _numeric(each, number)
    return found


def _numeric(each: Mapping[str, str], number: type[int] | type[float]) -> Parameter:
    name, scaling = each["Name"], each.get("ScalingType", "Auto")
    low, high = (_bound(each, field, number) for field in ("MinValue", "MaxValue"))
    if not math.isfinite(float(high) - float(low)):
        raise invalid(f"{name}: the range from {low} to {high} is too wide")
    if low > high:
        raise invalid(f"{name}: MinValue {low} is greater than MaxValue {high}")
    if scaling == "Auto" and low > 0 and high >= AUTO_LOGARITHMIC * low:
        scaling = "Logarithmic"
    if scaling == "Logarithmic" and low <= 0:
        raise invalid(f"{name}: logarithmic scaling needs MinValue above 0")
    if scaling == "ReverseLogarithmic":
        if number is int or low < 0 or high >= 1:
            raise invalid(f"{name}: reverse logarithmic scaling needs 0 <= range < 1")
        distance = FloatDistribution(1 - high, 1 - low, log=True)
        return Parameter(distance, low, high, is_reversed=True)
    kind: Any = IntDistribution if number is int else FloatDistribution
    return Parameter(kind(low, high, log=scaling == "Logarithmic"), low, high)


def _bound(each: Mapping[str, str], field: str, number: type[int] | type[float]) -> Any:
    """Parse a bound as Java does, which allows no underscores, and no infinity or NaN here."""
    text = each[field]
    pattern = INTEGER if number is int else DECIMAL
    value = number(text) if pattern.fullmatch(text) else math.nan
    if not math.isfinite(value) or (number is int and not -MOST_OF_LONG <= value < MOST_OF_LONG):
        kind = "an integer" if number is int else "a number"
        raise invalid(f"{each['Name']}: {field} [{text}] is not {kind}.")
    return value


def _grid(ranges: Mapping[str, Any]) -> list[Values]:
    categorical = ranges.get("CategoricalParameterRanges", ())
    names = [each["Name"] for each in categorical]
    points = itertools.product(*(dict.fromkeys(each["Values"]) for each in categorical))
    return [dict(zip(names, point, strict=True)) for point in points]
