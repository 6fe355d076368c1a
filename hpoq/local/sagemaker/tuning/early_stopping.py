"""Early stopping: which running training jobs are stopped because of their objective so far."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from statistics import median
from typing import Any, Protocol

from hpo_dispatcher.contract.aws_limits import EPOCHS_HYPERPARAMETERS, epochs_of
from hpoq.local.sagemaker.errors import invalid

# The published rule sets no minimum; the median of fewer predecessors is not meaningful.
PREDECESSORS = 3
REDUCTION = 3  # Hyperband's eta: one of three training jobs continues at each rung


class EarlyStopping(Protocol):
    """A rule for all training jobs of one tuning job. Any thread may call it."""

    def should_stop(self, number: int, value: float) -> bool:
        """Record the next value of the ``number``-th training job; return whether to stop it."""


class NoEarlyStopping:
    """Early stopping ``Off``: every training job runs to its end."""

    def should_stop(self, number: int, value: float) -> bool:
        """Return False."""
        return False


class MedianRule:
    """Early stopping ``Auto``, by the rule that SageMaker publishes.

    A training job stops when its objective is worse than the median of the running averages,
    up to the same step, of the training jobs that were started before it.
    """

    def __init__(self, *, maximize: bool) -> None:
        self._sign = 1.0 if maximize else -1.0
        self._values: dict[int, list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def should_stop(self, number: int, value: float) -> bool:
        """Record the next value of a training job and return whether to stop the job."""
        with self._lock:
            self._values[number].append(self._sign * value)
            step = len(self._values[number])
            averages = [
                _mean(values[:step])
                for other, values in self._values.items()
                if other < number and len(values) >= step
            ]
        return len(averages) >= PREDECESSORS and self._sign * value < median(averages)


class Hyperband:
    """Asynchronous successive halving in several brackets.

    Each bracket has rungs: steps that grow by a factor of three. At a rung, a training job is
    compared with all jobs of its bracket that reached the rung before it, and continues if it
    is among the best third. It stops at ``MaxResource`` steps in any case.
    """

    def __init__(self, *, maximize: bool, min_resource: int, max_resource: int) -> None:
        self._sign = 1.0 if maximize else -1.0
        self._max_resource = max_resource
        self._brackets = _brackets(min_resource, max_resource)
        self._steps: dict[int, int] = defaultdict(int)
        self._at_rung: dict[tuple[int, int], list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def should_stop(self, number: int, value: float) -> bool:
        """Record the next value of a training job and return whether to stop the job."""
        bracket = number % len(self._brackets)
        with self._lock:
            self._steps[number] += 1
            step = self._steps[number]
            if step >= self._max_resource:
                return True
            if step not in self._brackets[bracket]:
                return False
            scores = self._at_rung[bracket, step]
            scores.append(self._sign * value)
            best = sorted(scores, reverse=True)[: math.ceil(len(scores) / REDUCTION)]
        return len(scores) >= REDUCTION and self._sign * value < best[-1]


def _mean(values: Sequence[float]) -> float:
    """Return the mean, also of values whose sum is no float."""
    return sum(value / len(values) for value in values)


def early_stopping_of(
    config: Mapping[str, Any], definition: Mapping[str, Any], *, maximize: bool
) -> EarlyStopping:
    """Return the early stopping that a HyperParameterTuningJobConfig asks for.

    Args:
        config: of the tuning job.
        definition: of the training jobs; Hyperband infers from it how many epochs they have.
        maximize: whether a larger value of the objective is better.

    Raises:
        ApiError: if the configuration contradicts itself.
    """
    auto = config.get("TrainingJobEarlyStoppingType") == "Auto"
    if config["Strategy"] != "Hyperband":
        return MedianRule(maximize=maximize) if auto else NoEarlyStopping()
    if auto:
        raise invalid("TrainingJobEarlyStoppingType must be Off for the Hyperband strategy.")
    resources = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    least = int(resources.get("MinResource", 1))
    most = resources.get("MaxResource", epochs_of(definition.get("StaticHyperParameters", {})))
    if most is None:
        raise invalid(
            "MaxResource is missing for the Hyperband strategy, and none of the static "
            f"hyperparameters {', '.join(EPOCHS_HYPERPARAMETERS)} gives it."
        )
    if least > most:
        raise invalid(f"MinResource {least} is greater than MaxResource {most}.")
    return Hyperband(maximize=maximize, min_resource=least, max_resource=most)


def _brackets(least: int, most: int) -> Sequence[frozenset[int]]:
    """Return the rungs of each bracket.

    The first bracket compares from ``least`` steps on; each further one begins a rung later.
    """
    powers = (least * REDUCTION**power for power in range(64))
    rungs = list(takewhile(lambda rung: rung < most, powers))
    return [frozenset(rungs[start:]) for start in range(len(rungs))] or [frozenset()]
