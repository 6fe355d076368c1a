"""The dispatcher's own record of how its expected starts have held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.scheduling.forecast.calibration import OUTSIDE
from hpo_dispatcher.scheduling.forecast.outlooks import Outlook, Spread
from hpo_dispatcher.scheduling.forecast.predictions import (
    DAYS,
    MOST_PENDING,
    NOTED,
    SCORES,
    Prediction,
    Predictions,
)
from hpo_dispatcher.scheduling.history.memory import memory_json, predictions_from

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = ("fraud", "r")


def noted(at: datetime = NOON, key: tuple[str, str] = KEY) -> Prediction:
    return Prediction(key=key, at=at, draws=(300.0, 600.0, 900.0), earliest=200, latest=1000)


@pytest.mark.parametrize(
    ("seconds", "within", "score"), [(200, 1, -1.333), (1000, 1, 1.333), (1001, 0, 1.337)]
)
def test_a_start_is_compared_with_the_range_that_was_stated_for_it(
    seconds: float, within: int, score: float
) -> None:
    predictions = Predictions(pending=[noted()])
    now = NOON + timedelta(seconds=seconds)
    predictions.compare([("fraud", "other")], now)
    assert predictions.measured(now) is None
    predictions.compare([KEY], now)
    measured = predictions.measured(now)
    assert measured is not None
    assert (measured.starts, measured.within, predictions.scores) == (1, within, [score])
    assert predictions.pending == []


def test_only_the_last_fourteen_days_and_the_newest_scores_count() -> None:
    predictions = Predictions()
    for number in range(SCORES + 50):
        predictions.pending = [noted()]
        predictions.compare([KEY], NOON + timedelta(seconds=number))
    assert len(predictions.scores) == SCORES
    later = NOON + DAYS - timedelta(days=1)
    predictions.compare([], later)
    measured = predictions.measured(later)
    assert measured is not None
    assert measured.starts == SCORES + 50
    predictions.compare([], later + timedelta(days=1))
    measured = predictions.measured(later + timedelta(days=1))
    assert measured is not None
    assert (measured.starts, measured.within) == (0, 0)


@pytest.mark.parametrize(
    ("seconds", "highest"), [(800, 0.8), (900, 0.8), (901, 301 / 300), (3600, 10.0)]
)
def test_a_request_that_is_later_than_its_late_draw_counts_with_its_wait_so_far(
    seconds: float, highest: float
) -> None:
    """Its late draw is at 900 seconds. Of the other scores, 0.8 is the high one."""
    predictions = Predictions(pending=[noted()] * 24, scores=[0.0] * 24)
    measured = predictions.measured(NOON + timedelta(seconds=seconds))
    assert measured is not None
    assert measured.scores is not None
    assert measured.scores[2] == highest


def test_the_private_document_keeps_what_was_noted() -> None:
    predictions = Predictions(
        pending=[noted()],
        scores=[0.5, -1.25],
        days={"2026-11-23": (3, 2)},
        noted_at=NOON,
        outside=0.05,
    )
    assert predictions_from(memory_json({}, predictions=predictions)) == predictions
    assert predictions_from(None) == Predictions()
    assert predictions_from("{}") == Predictions(), "as the version before wrote it"


class Drawn:
    """A forecast with these requests, in an order of its own."""

    def __init__(self, **overall: int) -> None:
        self.overall = {("fraud", name): place for name, place in overall.items()}
        self.unknown: set[tuple[str, str]] = set()
        self.starts: tuple[float, ...] = (1.0, 20.0, 300.0)

    def spreads(self) -> dict[tuple[str, str], Spread]:
        return {key: Spread(self.starts, place) for key, place in self.overall.items()}

    def of_listed(self, now: datetime) -> dict[tuple[str, str], Outlook]:
        assert now == NOON
        return {
            key: Outlook() if key in self.unknown else Outlook(earliest=5.0, latest=250.0)
            for key in self.overall
        }


def note(predictions: Predictions, drawn: Drawn, queued: set[tuple[str, str]]) -> list[str]:
    forecast: Any = drawn
    predictions.note(forecast, queued, NOON)
    return [each.key[1] for each in predictions.pending]


def test_expected_starts_are_noted_from_all_parts_of_the_queue() -> None:
    drawn = Drawn(**{f"r{n:02}": 100 - n for n in range(2 * NOTED)})
    found = note(Predictions(), drawn, {*drawn.overall})
    assert found == [f"r{n:02}" for n in range(2 * NOTED - 1, 0, -2)], "every second, first first"


def test_a_noted_start_has_its_draws_and_its_range() -> None:
    predictions, drawn = Predictions(), Drawn(a=1, b=2)
    drawn.unknown = {("fraud", "b")}
    assert note(predictions, drawn, set()) == ["a"]
    assert predictions.pending == [
        Prediction(
            key=("fraud", "a"), at=NOON, draws=(1.0, 20.0, 300.0), earliest=5.0, latest=250.0
        )
    ]
    assert predictions.noted_at == NOON


def test_requests_that_have_left_the_queue_are_forgotten_and_few_are_pending() -> None:
    predictions = Predictions(pending=[noted(key=("fraud", f"p{n}")) for n in range(MOST_PENDING)])
    queued = {each.key for each in predictions.pending[2:]}
    found = note(predictions, Drawn(x=1, y=2, z=3), queued)
    assert len(found) == MOST_PENDING
    assert found[-2:] == ["x", "y"]
    assert "p1" not in found


@pytest.mark.parametrize(("minutes", "due"), [(None, True), (29, False), (30, True)])
def test_starts_are_noted_every_half_hour(minutes: int | None, due: bool) -> None:
    at = None if minutes is None else NOON - timedelta(minutes=minutes)
    assert Predictions(noted_at=at).due(NOON) is due


def test_starts_outside_their_ranges_widen_the_next_ones() -> None:
    for seconds, narrower in ((600, True), (2_000, False)):
        predictions = Predictions(pending=[noted()])
        predictions.compare([KEY], NOON + timedelta(seconds=seconds))
        assert (predictions.outside > OUTSIDE) is narrower


def test_a_noted_start_has_the_median_of_its_draws() -> None:
    """Of nine draws the first and the last are the early and the late one."""
    predictions, drawn = Predictions(), Drawn(a=1)
    drawn.starts = tuple(100.0 * number for number in range(1, 10))
    note(predictions, drawn, set())
    assert [each.draws for each in predictions.pending] == [(100.0, 500.0, 900.0)]


def test_starts_are_counted_by_day_and_those_within_their_ranges_too() -> None:
    predictions = Predictions()
    for days, seconds in ((0, 600), (0, 100), (1, 600), (1, 600), (2, 5_000)):
        predictions.pending = [noted(NOON + timedelta(days=days))]
        predictions.compare([KEY], NOON + timedelta(days=days, seconds=seconds))
    assert predictions.days == {"2026-11-23": (2, 1), "2026-11-24": (2, 2), "2026-11-25": (1, 0)}
    measured = predictions.measured(NOON)
    assert measured is not None
    assert (measured.starts, measured.within) == (5, 3)
    assert predictions.scores == [0.0, -1.667, 0.0, 0.0, 14.667]


def test_scores_count_even_if_no_start_was_compared_lately() -> None:
    assert Predictions().measured(NOON) is None
    measured = Predictions(scores=[9.0] * 200).measured(NOON)
    assert measured is not None
    assert (measured.starts, measured.within, measured.scores) == (0, 0, (0.4, 9.0, 9.0))


def test_the_part_that_ranges_leave_out_is_that_which_starts_have_adapted() -> None:
    scores = [float(number) for number in range(200)]
    wide, narrow = (
        Predictions(scores=scores, outside=outside).measured(NOON) for outside in (0.01, 0.2)
    )
    assert wide is not None and narrow is not None
    assert wide.scores is not None and narrow.scores is not None
    assert wide.scores[0] < narrow.scores[0] < narrow.scores[2] < wide.scores[2]


@pytest.mark.parametrize("count", [NOTED - 1, NOTED, NOTED + 1])
def test_of_a_short_queue_all_expected_starts_are_noted(count: int) -> None:
    drawn = Drawn(**{f"r{n:02}": n for n in range(count)})
    found = note(Predictions(), drawn, set())
    assert found == [f"r{n:02}" for n in range(NOTED)][:count]
