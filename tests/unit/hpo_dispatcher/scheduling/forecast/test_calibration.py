"""How wide ranges are, by the starts that were compared with expected ones."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from hpo_dispatcher.contract.documents.capacity import (
    CapacityDocument,
    MeasuredEstimates,
    ResourceUse,
)
from hpo_dispatcher.scheduling.forecast.calibration import (
    ENOUGH,
    STRETCH,
    Calibration,
    calibrated,
    score,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DRAWS = [1000.0, 2000.0, 4000.0]


@pytest.mark.parametrize(
    ("real", "expected"), [(2000, 0), (4000, 1), (6000, 2), (1000, -1), (500, -1.5)]
)
def test_a_score_is_the_distance_from_the_median_relative_to_the_draws(
    real: float, expected: float
) -> None:
    assert score(real, DRAWS) == expected


def test_draws_that_agree_have_the_spread_of_a_minute() -> None:
    assert score(660, [600, 600, 600]) == 1


def test_few_scores_calibrate_nothing_and_the_range_is_stretched_as_before() -> None:
    assert calibrated([0.0] * (ENOUGH - 1)) is None
    below, above = STRETCH * 1000, STRETCH * 2000
    assert Calibration().range_of(DRAWS) == (max(0.0, 2000 - below), 2000, 2000 + above)


def document(estimates: MeasuredEstimates | None) -> CapacityDocument:
    return CapacityDocument(at=NOON, tuning_jobs=ResourceUse(limit=1), estimates=estimates)


def test_the_range_and_the_expected_start_move_to_where_starts_have_been() -> None:
    measured = MeasuredEstimates(starts=50, within=40, scores=(-0.5, 0.25, 3.0))
    assert Calibration.of(document(measured)).range_of(DRAWS) == (1500, 2500, 8000)
    assert Calibration.of(document(None)) == Calibration()
    assert Calibration.of(document(MeasuredEstimates(starts=3))) == Calibration()


@pytest.mark.parametrize("seed", range(5))
def test_ranges_hold_eight_of_ten_starts_whatever_the_draws_are_wrong_about(seed: int) -> None:
    """Starts are twice as late as drawn, with another spread; 400 are seen, and 400 more come."""
    draw = random.Random(seed)

    def pair() -> tuple[float, list[float]]:
        scale = draw.uniform(600, 6000)
        drawn = sorted(scale * draw.uniform(0.8, 1.2) for _ in range(9))
        return 2 * scale * draw.lognormvariate(0, 0.5), drawn

    found = calibrated([score(*pair()) for _ in range(400)])
    assert found is not None
    low, middle, high = found
    calibration = Calibration(low=low, middle=middle, high=high, measured=True)
    later = [pair() for _ in range(400)]
    ranges = [(real, calibration.range_of(drawn)) for real, drawn in later]
    within = [earliest <= real <= latest for real, (earliest, _, latest) in ranges]
    assert 0.75 <= sum(within) / len(within) <= 0.9
    uncalibrated = [(real, Calibration().range_of(drawn)) for real, drawn in later]
    assert sum(low <= real <= high for real, (low, _, high) in uncalibrated) < 0.6 * len(later)
