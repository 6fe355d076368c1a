"""Suggestions by a Gaussian process."""

from __future__ import annotations

import numpy as np
import pytest

from hpoq.local.sagemaker.tuning.gaussian_process import (
    GaussianProcess,
    space_filling,
    suggestion,
)

NONE = np.empty((0, 1))


def bowl(points: np.ndarray) -> np.ndarray:
    return -((points[:, 0] - 0.3) ** 2)


def test_the_process_returns_what_it_was_fitted_to_and_is_unsure_elsewhere() -> None:
    points = np.array([[0.0], [0.2], [0.4], [0.6]])
    process = GaussianProcess(points, bowl(points), np.random.default_rng(1))
    means, deviations = process.predicted(np.array([[0.2], [1.0]]))
    values = bowl(points)
    assert means[0] == pytest.approx((values[1] - values.mean()) / values.std(), abs=0.05)
    assert deviations[1] > 3 * deviations[0]


def test_the_suggestion_is_near_the_best_value() -> None:
    points = np.array([[0.0], [0.15], [0.5], [0.8], [1.0]])
    found = suggestion(points, bowl(points), NONE, seed=1)
    assert found[0] == pytest.approx(0.3, abs=0.1)


def test_a_running_training_job_is_not_repeated() -> None:
    points = np.array([[0.0], [0.15], [0.5], [0.8], [1.0]])
    first = suggestion(points, bowl(points), NONE, seed=1)
    second = suggestion(points, bowl(points), first[None, :], seed=1)
    assert abs(second[0] - first[0]) > 1e-3


def test_many_results_are_limited() -> None:
    points = np.random.default_rng(1).random((400, 1))
    found = suggestion(points, bowl(points), NONE, seed=1)
    assert found[0] == pytest.approx(0.3, abs=0.1)


def test_the_first_points_fill_the_space() -> None:
    points = np.array([space_filling(number, 2, seed=3) for number in range(16)])
    halves = (points > 0.5).sum(0)
    assert set(halves) <= {7, 8, 9}
