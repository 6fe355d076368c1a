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
    LEAST_OUTSIDE,
    MOST_OUTSIDE,
    OUTSIDE,
    Calibration,
    adapted,
    calibrated,
    expected,
    outer,
    score,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DRAWS = [1000.0, 2000.0, 4000.0]


@pytest.mark.parametrize(
    ("real", "distance"), [(2000, 0), (4000, 1), (6000, 2), (1000, -1), (500, -1.5)]
)
def test_a_score_is_the_distance_from_the_median_relative_to_the_draws(
    real: float, distance: float
) -> None:
    assert score(real, DRAWS) == distance


@pytest.mark.parametrize(("count", "left_out"), [(3, 0), (9, 0), (19, 1), (20, 1), (29, 2)])
def test_a_tenth_of_starts_is_before_the_early_draw_however_many_are_drawn(
    count: int, left_out: int
) -> None:
    starts = [60.0 * number for number in range(count)]
    assert outer(starts) == (starts[left_out], starts[count - 1 - left_out])


@pytest.mark.parametrize("count", [9, 19, 29])
def test_ranges_do_not_depend_on_the_number_of_draws(count: int) -> None:
    """Of independent starts between 0 and 1000, a tenth is before the n-th of 10 n - 1 draws."""
    draw = random.Random(count)
    scores = []
    for _ in range(2_000):
        real, *drawn = (draw.uniform(0, 1000) for _ in range(count + 1))
        scores.append(score(real, sorted(drawn)))
    assert sum(each < -1 for each in scores) / len(scores) == pytest.approx(0.1, abs=0.02)
    assert sum(each > 1 for each in scores) / len(scores) == pytest.approx(0.1, abs=0.02)


def test_draws_that_agree_have_the_spread_of_a_minute() -> None:
    assert score(660, [600, 600, 600]) == 1


def test_without_real_scores_the_range_is_as_wide_as_simulated_workloads_needed() -> None:
    assert calibrated([]) == (-1.2, 0.0, 1.2)
    assert Calibration.of(None).range_of(DRAWS)[::2] == (800, 4400)
    assert Calibration.of(document(None)) == Calibration.of(None)


def test_few_real_scores_count_little_and_many_decide() -> None:
    assert calibrated([9.0]) == (-1.2, 0.0, 1.6)
    low, _, high = calibrated([9.0] * 200)
    assert (low, high) == (0.4, 9.0)


def test_a_range_that_does_not_hold_widens_the_following_ones_until_they_hold_as_often() -> None:
    outside = OUTSIDE
    for _ in range(4):
        outside = adapted(outside, held=False)
    assert outside < OUTSIDE
    for _ in range(100):
        outside = adapted(outside, held=False)
    assert outside == LEAST_OUTSIDE
    for _ in range(1_000):
        outside = adapted(outside, held=True)
    assert outside == MOST_OUTSIDE
    # 84 of 100 hold: as many as are meant to.
    held = [number % 25 >= 4 for number in range(1_000)]
    outside = OUTSIDE
    for each in held:
        outside = adapted(outside, held=each)
    assert outside == pytest.approx(OUTSIDE, abs=0.01)


@pytest.mark.parametrize(
    ("starts", "seconds"),
    [
        ([600.0, 600.0, 600.0], 600),
        ([1000.0, 2000.0, 4000.0], 1000),  # a half and three quarters too early for the others
        ([0.0, 300.0, 9000.0], 300),  # the first two are short waits
        ([5000.0, 7000.0, 7700.0, 8000.0, 50_000.0], 7000),
        ([100.0, 7000.0, 7700.0, 8000.0, 50_000.0], 7700),  # one early one does not decide
    ],
)
def test_the_expected_start_differs_least_from_the_drawn_ones_relative_to_their_waits(
    starts: list[float], seconds: float
) -> None:
    assert expected(starts) == seconds


def document(estimates: MeasuredEstimates | None) -> CapacityDocument:
    return CapacityDocument(at=NOON, tuning_jobs=ResourceUse(limit=1), estimates=estimates)


def test_the_range_moves_to_where_starts_have_been() -> None:
    measured = MeasuredEstimates(starts=50, within=40, scores=(-0.5, 0.25, 3.0))
    assert Calibration.of(document(measured)).range_of(DRAWS) == (1500, 1500, 8000)
    assert Calibration.of(document(MeasuredEstimates(starts=3))) == Calibration.of(None)


@pytest.mark.parametrize("seed", range(5))
def test_ranges_hold_eight_of_ten_starts_whatever_the_draws_are_wrong_about(seed: int) -> None:
    """Starts are twice as late as drawn, with another spread; 400 are seen, and 400 more come."""
    draw = random.Random(seed)

    def pair() -> tuple[float, list[float]]:
        scale = draw.uniform(600, 6000)
        drawn = sorted(scale * draw.uniform(0.8, 1.2) for _ in range(9))
        return 2 * scale * draw.lognormvariate(0, 0.5), drawn

    low, _, high = calibrated([score(*pair()) for _ in range(400)])
    calibration = Calibration(low=low, high=high, measured=True)
    later = [pair() for _ in range(400)]
    ranges = [(real, calibration.range_of(drawn)) for real, drawn in later]
    within = [earliest <= real <= latest for real, (earliest, _, latest) in ranges]
    assert 0.75 <= sum(within) / len(within) <= 0.9
    uncalibrated = [(real, Calibration.of(None).range_of(drawn)) for real, drawn in later]
    assert sum(low <= real <= high for real, (low, _, high) in uncalibrated) < 0.6 * len(later)


@pytest.mark.parametrize(
    ("low", "high", "expected_range"),
    [
        (-0.5, 0.5, (1500, 3000)),  # parts of the early half and of the late half
        (0.5, 1.5, (3000, 5000)),  # starts were later than drawn
        (-1.5, -0.5, (500, 1500)),  # or earlier
        (-3.0, 0.0, (0, 2000)),  # no start is before now
    ],
)
def test_a_range_reaches_from_the_low_score_to_the_high_one(
    low: float, high: float, expected_range: tuple[float, float]
) -> None:
    for measured in (True, False):
        calibration = Calibration(low=low, high=high, measured=measured)
        assert calibration.range_of(DRAWS)[::2] == expected_range


@pytest.mark.parametrize(("measured", "seconds"), [(True, 60), (False, 0)])
def test_draws_that_agree_give_a_range_of_minutes_once_starts_were_compared(
    measured: bool, seconds: float
) -> None:
    found = Calibration(low=-1.0, high=2.0, measured=measured).range_of([600.0] * 3)
    assert found == (600 - seconds, 600, 600 + 2 * seconds)


@pytest.mark.parametrize(
    ("low", "high", "start"), [(0.5, 1.0, 3000), (-1.0, -0.75, 1000), (-1.0, 1.0, 1000)]
)
def test_the_expected_start_is_within_the_range(low: float, high: float, start: float) -> None:
    assert Calibration(low=low, high=high).range_of(DRAWS)[1] == start
