"""Which requests a forecast expects to arrive."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from hpo_dispatcher.contract.documents.capacity import (
    CapacityDocument,
    RecentArrival,
    ResourceUse,
)
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.scheduling.forecast.arrivals import REMEMBERED, Arrivals, with_arrivals

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def arrived(*minutes_ago: float) -> Arrivals:
    arrivals = [RecentArrival(team="a", at=NOON - timedelta(minutes=each)) for each in minutes_ago]
    return Arrivals.of(
        CapacityDocument(at=NOON, tuning_jobs=ResourceUse(limit=1), arrivals=tuple(arrivals))
    )


def test_requests_are_expected_as_often_as_lately() -> None:
    arrivals = arrived(50, 40, 30, 20, 10)
    assert arrivals.seconds_between == 600
    waits = [arrivals.wait(random.Random(seed)) or 0.0 for seed in range(1000)]
    assert sum(waits) / len(waits) == pytest.approx(600, rel=0.1)


def test_requests_that_arrive_together_are_one_batch() -> None:
    arrivals = arrived(40, 30, 29.5, 20, 10)
    assert sorted(map(len, arrivals.batches)) == [1, 1, 1, 2]
    assert len(arrivals.batch(random.Random(1))) in (1, 2)


@pytest.mark.parametrize(
    "minutes_ago", [(), (30,), (60, 60, 60, 60), (80, 79, 78, 77, 76)],
    ids=["none", "one", "one batch", "they have stopped"],
)  # fmt: skip
def test_no_more_requests_are_expected(minutes_ago: tuple[float, ...]) -> None:
    assert arrived(*minutes_ago).wait(random.Random(1)) is None


def test_the_newest_arrivals_are_remembered() -> None:
    entries = [
        Entry(
            team="a", request_id=f"r{number}", status=Status.QUEUED, template="cpu",
            accepted_at=NOON + timedelta(minutes=number), instances={"ml.m5.large": 2},
            max_training_jobs=4, max_parallel=2, most_instance_seconds=7200,
        )
        for number in range(REMEMBERED)
    ]  # fmt: skip
    before = with_arrivals((), entries[:5])
    found = with_arrivals(before, entries[5:])
    assert [each.at for each in found] == [entry.accepted_at for entry in entries]
    assert (found[0].rounds, found[0].most_seconds) == (2, 3600)
    late = with_arrivals(found, [Entry(
        team="b", request_id="old", status=Status.QUEUED, accepted_at=NOON + timedelta(seconds=90),
    )])  # fmt: skip
    assert [each.team for each in late[:2]] == ["a", "b"], "in the order of their acceptance"
    assert len(late) == REMEMBERED


def test_the_usual_time_is_the_mean_of_all_gaps_the_last_one_included() -> None:
    """50 minutes in three gaps, and five minutes since."""
    assert arrived(55, 45, 35, 5).seconds_between == pytest.approx(50 / 3 * 60)


def test_an_arrival_is_remembered_with_what_a_forecast_needs() -> None:
    entry = Entry(
        team="a", request_id="r", status=Status.QUEUED, accepted_at=NOON, priority=3,
        instances={"ml.m5.large": 2}, template="cpu", max_training_jobs=6, max_parallel=2,
        expected_seconds=100, most_instance_seconds=600, targets=("home", "research"),
    )  # fmt: skip
    assert with_arrivals((), [entry]) == (
        RecentArrival(
            team="a", at=NOON, instances={"ml.m5.large": 2}, template="cpu", rounds=3, priority=3,
            expected_seconds=100, most_seconds=300, targets=("home", "research"),
        ),
    )  # fmt: skip
