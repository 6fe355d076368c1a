"""Compare the Bayesian strategy of the embedded cloud with Random and with Optuna's samplers.

    python -m benchmarks bayesian

Each search finds the minimum of a function whose minimum is known in 30 evaluations, three at a
time, as three parallel training jobs would. Optuna's Gaussian process needs PyTorch and SciPy.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import optuna

from benchmarks.measure import Measure, at_least, print_table, shown
from hpoq.local.sagemaker.tuning.suggest import HyperparameterSearch

NAME = "bayesian"
EVALUATIONS, PARALLEL, SEEDS = 30, 3, 20
Function = Callable[[Sequence[float]], float]
HARTMANN = np.array([
    [10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14],
])  # fmt: skip
CENTERS = 1e-4 * np.array([
    [1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381],
])  # fmt: skip


def branin(at: Sequence[float]) -> float:
    """Return Branin's function, whose minimum is 0.398."""
    x, y = 15 * at[0] - 5, 15 * at[1]
    bowl = (y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def hartmann(at: Sequence[float]) -> float:
    """Return Hartmann's function of six variables, whose minimum is -3.322."""
    squares = (HARTMANN * (np.array(at) - CENTERS) ** 2).sum(1)
    return -float(np.array([1, 1.2, 3, 3.2]) @ np.exp(-squares))


def rosenbrock(at: Sequence[float]) -> float:
    """Return Rosenbrock's function of four variables, whose minimum is 0."""
    x = [4 * each - 2 for each in at]
    return sum(100 * (after - before**2) ** 2 + (1 - before) ** 2 for before, after in pairwise(x))


FUNCTIONS: Mapping[str, tuple[Function, int]] = {
    "branin": (branin, 2), "hartmann6": (hartmann, 6), "rosenbrock4": (rosenbrock, 4)
}  # fmt: skip


def ours(strategy: str, function: Function, dimensions: int, seed: int) -> float:
    """Return the least value that a search of the embedded cloud finds."""
    names = [f"x{number}" for number in range(dimensions)]
    bounds = {"MinValue": "0", "MaxValue": "1", "ScalingType": "Linear"}
    ranges: dict[str, Any] = {"ContinuousParameterRanges": [{"Name": n, **bounds} for n in names]}
    search = HyperparameterSearch({"Strategy": strategy}, ranges, False, seed)
    found = []
    for first in range(0, EVALUATIONS, PARALLEL):
        asked = {number: search.ask(number) for number in range(first, first + PARALLEL)}
        for number, values in asked.items():
            found.append(function([float(values[name]) for name in names]))
            search.tell(number, found[-1])
    return min(found)


def optunas(sampler: Callable[[int], Any], function: Function, dimensions: int, seed: int) -> float:
    """Return the least value that a sampler of Optuna finds."""
    study = optuna.create_study(sampler=sampler(seed))
    for _ in range(0, EVALUATIONS, PARALLEL):
        asked = [study.ask() for _ in range(PARALLEL)]
        points = [[each.suggest_float(f"x{n}", 0, 1) for n in range(dimensions)] for each in asked]
        for trial, point in zip(asked, points, strict=True):
            study.tell(trial, function(point))
    return study.best_value


def tpe(seed: int) -> Any:
    """Return Optuna's default sampler."""
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True)


def gaussian_process(seed: int) -> Any:
    """Return Optuna's Gaussian process."""
    return optuna.samplers.GPSampler(seed=seed, deterministic_objective=True)


def results() -> Iterable[Measure]:
    """Yield wins and medians in about four minutes."""
    wins = 0
    for name, (function, dimensions) in FUNCTIONS.items():
        of_each = (function, dimensions)
        bayesian = [ours("Bayesian", *of_each, seed) for seed in range(SEEDS)]
        random = [ours("Random", *of_each, seed) for seed in range(SEEDS)]
        wins += sum(a < b for a, b in zip(bayesian, random, strict=True))
        others = {
            other.__name__: statistics.median(optunas(other, *of_each, s) for s in range(SEEDS))
            for other in (tpe, gaussian_process)
        }
        median, best = statistics.median(bayesian), min(others.values())
        yield Measure(
            benchmark=NAME, measure=f"{name}: median of {SEEDS} seeds", value=median, unit="",
            goal=f"<= {best:.3f}, the better of Optuna's TPE and Gaussian process",
            holds=median <= best,
        )  # fmt: skip
        yield shown(NAME, f"{name}: Random, median", statistics.median(random))
    share = 100 * wins / (SEEDS * len(FUNCTIONS))
    yield at_least(NAME, "searches that find less than Random's of the same seed", share, 90, "%")


if __name__ == "__main__":
    print_table(results())
