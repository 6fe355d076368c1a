"""Which running training jobs are not worth finishing, judged by their objective so far."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from statistics import fmean, median
from typing import Any, Protocol

from hpoq.local.sagemaker.errors import invalid

# The published rule names no minimum; with fewer predecessors a median says nothing.
PREDECESSORS = 3
REDUCTION = 3  # Hyperband's eta: one of three goes on at each rung
DEFAULT_MAX_RESOURCE = 27


class Referee(Protocol):
    """Hears every value of every training job of one tuning job; thread-safe."""

    def gives_up(self, number: int, value: float) -> bool:
        """Whether the ``number``-th training job is to be stopped after its next value."""


class Everyone:
    """Early stopping ``Off``: all go on to the end."""

    def gives_up(self, number: int, value: float) -> bool:
        """Never."""
        return False


class MedianRule:
    """Early stopping ``Auto``, by the rule that SageMaker publishes.

    A training job stops when its objective is worse than the median of the running averages,
    up to the same step, of the training jobs that were started before it.
    """

    def __init__(self, *, maximise: bool) -> None:
        self._sign = 1.0 if maximise else -1.0
        self._values: dict[int, list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def gives_up(self, number: int, value: float) -> bool:
        """See ``Referee``."""
        with self._lock:
            self._values[number].append(self._sign * value)
            step = len(self._values[number])
            averages = [
                fmean(values[:step])
                for other, values in self._values.items()
                if other < number and len(values) >= step
            ]
        return len(averages) >= PREDECESSORS and self._sign * value < median(averages)


class Hyperband:
    """Successive halving without waiting, in brackets of different patience.

    A training job is compared at rungs of its bracket (steps growing by three) with all that
    passed there before it, and goes on if it is among the best third. At ``MaxResource`` steps
    it has had enough.
    """

    def __init__(self, *, maximise: bool, least: int, most: int) -> None:
        self._sign = 1.0 if maximise else -1.0
        self._most = most
        self._brackets = _brackets(least, most)
        self._steps: dict[int, int] = defaultdict(int)
        self._passed: dict[tuple[int, int], list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def gives_up(self, number: int, value: float) -> bool:
        """See ``Referee``."""
        bracket = number % len(self._brackets)
        with self._lock:
            self._steps[number] += 1
            step = self._steps[number]
            if step >= self._most:
                return True
            if step not in self._brackets[bracket]:
                return False
            passed = self._passed[bracket, step]
            passed.append(self._sign * value)
            best = sorted(passed, reverse=True)[: math.ceil(len(passed) / REDUCTION)]
        return len(passed) >= REDUCTION and self._sign * value < best[-1]


def referee(config: Mapping[str, Any], *, maximise: bool) -> Referee:
    """The one a tuning job's configuration asks for.

    Raises:
        ApiError: the configuration contradicts itself.
    """
    wants_median = config.get("TrainingJobEarlyStoppingType", "Off") == "Auto"
    if config["Strategy"] != "Hyperband":
        return MedianRule(maximise=maximise) if wants_median else Everyone()
    if wants_median:
        raise invalid("TrainingJobEarlyStoppingType must be Off for the Hyperband strategy.")
    resources = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    least = int(resources.get("MinResource", 1))
    most = int(resources.get("MaxResource", max(least, DEFAULT_MAX_RESOURCE)))
    if least > most:
        raise invalid(f"MinResource {least} is greater than MaxResource {most}.")
    return Hyperband(maximise=maximise, least=least, most=most)


def _brackets(least: int, most: int) -> Sequence[frozenset[int]]:
    """The rungs of each bracket: the first compares early and often, the last not at all."""
    powers = (least * REDUCTION**power for power in range(64))
    rungs = list(takewhile(lambda rung: rung < most, powers))
    return [frozenset(rungs[start:]) for start in range(len(rungs))] or [frozenset()]
