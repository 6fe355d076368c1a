"""Suggestions by a Gaussian process, for searches of few numbers.

SageMaker's own search "uses Bayesian optimization with a Gaussian process": "How hyperparameter
tuning works" in the developer guide, and Perrone et al., "Amazon SageMaker Automatic Model Tuning:
Scalable Gradient-Free Optimization" (KDD 2021): Matern-5/2 kernel, expected improvement. Optuna's
own sampler of this kind needs PyTorch and SciPy; this one needs NumPy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
CANDIDATES = 2000  # random points whose expected improvement is compared
NEAR = 400  # further points near the best one, in each of ROUNDS
ROUNDS = 4
FITS = 80  # kernels that are compared
MOST_POINTS = 150  # a fit takes the third power of their number
MOST_OF_A_RESULT = 1e150  # its square is a float
NOISE = (1e-6, 1e-1)  # variance of the noise, in units of the variance of the results
SQRT5 = math.sqrt(5)


@dataclass(frozen=True)
class _Kernel:
    """A Matern-5/2 kernel: a length for each hyperparameter, and the variance of the noise."""

    lengths: Array
    noise: float

    def between(self, left: Array, right: Array) -> Array:
        """Return the correlation of each point on the left with each on the right."""
        scaled_left, scaled_right = left / self.lengths, right / self.lengths
        squares = (
            (scaled_left**2).sum(1)[:, None]
            + (scaled_right**2).sum(1)[None, :]
            - 2 * scaled_left @ scaled_right.T
        )
        distance = SQRT5 * np.sqrt(np.maximum(squares, 0))
        return np.asarray((1 + distance + distance**2 / 3) * np.exp(-distance))


class GaussianProcess:
    """A Gaussian process fitted to results.

    Args:
        points: one row for each result, each coordinate from 0 to 1.
        results: higher is better.
        generator: of the kernels to compare.
    """

    def __init__(self, points: Array, results: Array, generator: np.random.Generator) -> None:
        self._points = points
        spread = float(results.std()) or 1.0
        self._values = (results - results.mean()) / spread
        self._kernel = self._fitted(generator)
        self._factor, self._weights = self._solved(self._kernel)

    @property
    def best(self) -> float:
        """The best result, in the units of ``predicted``."""
        return float(self._values.max())

    def predicted(self, points: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the results at points."""
        cross = self._kernel.between(points, self._points)
        solved = np.linalg.solve(self._factor, cross.T)
        variance = np.maximum(1 - (solved**2).sum(0), 1e-12)
        return cross @ self._weights, np.sqrt(variance)

    def with_expected(self, pending: Array) -> GaussianProcess:
        """Return the process that believes its own prediction at points that are running."""
        if not len(pending):
            return self
        means, _ = self.predicted(pending)
        extended = object.__new__(GaussianProcess)
        extended._points = np.vstack([self._points, pending])
        extended._values = np.concatenate([self._values, means])
        extended._kernel = self._kernel
        extended._factor, extended._weights = extended._solved(self._kernel)
        return extended

    def _solved(self, kernel: _Kernel) -> tuple[Array, Array]:
        covariance = kernel.between(self._points, self._points)
        covariance[np.diag_indices_from(covariance)] += kernel.noise + 1e-10
        factor = np.linalg.cholesky(covariance)
        weights = np.linalg.solve(factor.T, np.linalg.solve(factor, self._values))
        return np.asarray(factor, dtype=np.float64), np.asarray(weights, dtype=np.float64)

    def _fitted(self, generator: np.random.Generator) -> _Kernel:
        """Return the likeliest of many kernels: half of them random, half near the best one."""
        dimensions = self._points.shape[1]
        best = np.concatenate([np.full(dimensions, math.log(0.5)), [math.log(1e-4)]])
        likelihood = self._likelihood(best)
        for number in range(FITS):
            if number < FITS // 2:
                lengths = generator.normal(math.log(0.5), 0.8, dimensions)
                noise = generator.uniform(math.log(NOISE[0]), math.log(NOISE[1]), 1)
                tried = np.concatenate([lengths, noise])
            else:
                width = 0.5 * 0.94 ** (number - FITS // 2)
                tried = best + generator.normal(0, width, dimensions + 1)
            found = self._likelihood(tried)
            if found > likelihood:
                best, likelihood = tried, found
        return _kernel(best)

    def _likelihood(self, parameters: Array) -> float:
        """Return the logarithm of the likelihood of a kernel, with a prior of its lengths."""
        try:
            factor, weights = self._solved(_kernel(parameters))
        except np.linalg.LinAlgError:
            return -math.inf
        prior = -0.5 * float((((parameters[:-1] - math.log(0.5)) / 1.0) ** 2).sum())
        fit = -0.5 * float(self._values @ weights) - float(np.log(np.diag(factor)).sum())
        return fit + prior


def _kernel(parameters: Array) -> _Kernel:
    lengths = np.exp(np.clip(parameters[:-1], math.log(0.03), math.log(10)))
    return _Kernel(lengths, float(np.clip(np.exp(parameters[-1]), *NOISE)))


def suggestion(points: Array, results: Array, pending: Array, seed: int) -> Array:
    """Return the point whose result is expected to improve most on the best one.

    Args:
        points: one row for each result, each coordinate from 0 to 1.
        results: higher is better.
        pending: the points of running training jobs.
        seed: of the points to compare.
    """
    generator = np.random.default_rng(seed)
    points, results = _limited(points, np.clip(results, -MOST_OF_A_RESULT, MOST_OF_A_RESULT))
    process = GaussianProcess(points, _bounded(results), generator).with_expected(pending)
    compared = generator.random((CANDIDATES, points.shape[1]))
    best_point = points[int(np.argmax(results))]
    best, width = best_point, 0.1
    for _ in range(ROUNDS + 1):
        gains = expected_improvement(process, compared)
        best = compared[int(np.argmax(gains))]
        centers = np.stack([best, best_point])[generator.integers(0, 2, NEAR)]
        near = np.clip(centers + generator.normal(0, width, centers.shape), 0, 1)
        compared, width = np.vstack([best[None, :], near]), width / 2.5
    return np.asarray(best, dtype=np.float64)


def expected_improvement(process: GaussianProcess, points: Array) -> Array:
    """Return the logarithm of the expected improvement at points."""
    means, deviations = process.predicted(points)
    ratio = (means - process.best) / deviations
    density = np.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + _erf(ratio / math.sqrt(2)))
    gain = deviations * (density + ratio * below)
    # Far below the best result the difference is lost in rounding: use its asymptote.
    far = np.log(deviations) - 0.5 * ratio**2 - 2 * np.log(np.maximum(-ratio, 1.0))
    near = np.log(np.maximum(gain, 1e-300))
    return np.asarray(np.where(ratio > -5, near, far), dtype=np.float64)


def space_filling(number: int, dimensions: int, seed: int) -> Array:
    """Return the ``number``-th of evenly spread points (Roberts, "quasirandom sequences")."""
    root = 2.0
    for _ in range(30):
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1, dimensions + 1, dtype=float)
    start = np.random.default_rng(seed).random(dimensions)
    return np.asarray((start + number * steps) % 1)


def _limited(points: Array, results: Array) -> tuple[Array, Array]:
    """Return the best two thirds and the last third of the points that a fit may have."""
    if len(points) <= MOST_POINTS:
        return points, results
    best = np.argsort(-results, kind="stable")[: MOST_POINTS * 2 // 3]
    last = np.arange(len(points))[-(MOST_POINTS // 3) :]
    kept = np.union1d(best, last)
    return points[kept], results[kept]


def _bounded(results: Array) -> Array:
    """Return results without extremes, which would hide the differences of the good ones."""
    median = float(np.median(results))
    spread = float(np.median(np.abs(results - median))) or 1.0
    return np.asarray(np.maximum(results, median - 5 * spread))


def _erf(values: Array) -> Array:
    return np.array([math.erf(value) for value in values])
