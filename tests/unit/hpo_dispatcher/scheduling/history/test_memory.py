"""What the scheduler remembers from one cycle to the next is read as it was written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.contract.errors import UnreadableDocument
from hpo_dispatcher.scheduling.backoff import Backoff, Delay, ReachedLimit
from hpo_dispatcher.scheduling.forecast.predictions import Prediction, Predictions
from hpo_dispatcher.scheduling.history.memory import (
    MEMORY,
    backoff_from,
    check_memory,
    created_from,
    memory_json,
    predictions_from,
    timers_from,
    unannounced_from,
)
from hpo_dispatcher.scheduling.snapshot import ReservationTimer
from tests.support.scheduling_scene import M5, NOON, ago

A, B = ("fraud", "a"), ("vision", "b")
TIMERS = {
    A: ReservationTimer(
        since=ago(50), passed_at=ago(40), reserved_at=ago(30), promised_at=ago(-20)
    ),
    B: ReservationTimer(since=ago(10), target="research"),
}
BACKOFF = Backoff(
    requests={
        A: Delay(
            kind=WaitKind.ACCOUNT_FAULT, since=ago(90), tries=3, retry_at=ago(-40),
            waited=timedelta(minutes=70),
            others=(
                Delay(
                    kind=WaitKind.ACCOUNT_QUOTA, since=ago(200), tries=2, retry_at=ago(100),
                    waited=timedelta(minutes=30),
                ),
            ),
        ),
        B: Delay(
            kind=WaitKind.TUNING_JOB_NAME, since=ago(5), tries=1, retry_at=ago(-5),
            targets=("home", "research"),
        ),
    },
    limits={
        M5: ReachedLimit(
            quota=QuotaExceeded(
                name="ml.m5.xlarge for training job usage", limit=9, in_use=7, requested=4
            ),
            tries=2, retry_at=ago(-15), users=frozenset({"x", "y"}), counted=6,
        )
    },
)  # fmt: skip
PREDICTIONS = Predictions(
    pending=[Prediction(key=A, at=ago(3), draws=(1.0, 20.0, 300.0), earliest=5.0, latest=250.0)],
    scores=[0.5, -1.25],
    days={"2026-11-22": (8, 6)},
    noted_at=ago(3),
)


def test_everything_is_read_as_it_was_written() -> None:
    memory = memory_json(TIMERS, BACKOFF, {B, A}, {"job-2", "job-1"}, PREDICTIONS)
    check_memory(memory)
    assert timers_from(memory, None) == TIMERS
    assert backoff_from(memory) == BACKOFF
    assert unannounced_from(memory) == {A, B}
    assert created_from(memory) == {"job-1", "job-2"}
    assert predictions_from(memory) == PREDICTIONS


def test_the_same_state_is_the_same_text() -> None:
    """A document that has not changed is not written again."""
    delays = [*BACKOFF.requests.items()]
    texts = {
        memory_json({}, Backoff(requests=dict(requests)), unannounced, created)
        for requests in (delays, delays[::-1])
        for unannounced in ([A, B], [B, A])
        for created in (["x", "y"], ["y", "x"])
    }
    assert len(texts) == 1


def test_expected_starts_are_stored_in_whole_seconds() -> None:
    """Fractions of seconds would make the document larger and say nothing."""
    noted = Prediction(key=A, at=NOON, draws=(1.4, 20.6, 300.2), earliest=5.4, latest=250.6)
    (stored,) = predictions_from(memory_json({}, predictions=Predictions(pending=[noted]))).pending
    assert (stored.draws, stored.earliest, stored.latest) == ((1, 21, 300), 5, 251)


def test_before_the_first_cycle_nothing_is_remembered() -> None:
    check_memory(None)
    assert timers_from(None, None) == {}
    assert backoff_from(None) == Backoff()
    assert unannounced_from(None) == created_from(None) == frozenset()
    assert predictions_from(None) == Predictions()


def test_the_version_before_kept_the_timers_in_the_capacity_document() -> None:
    front = '{"team": "fraud", "request_id": "a", "since": "2026-11-23T11:10:00Z", "later": 1}'
    capacity = f'{{"fronts": [{front}], "at": "ignored"}}'
    assert timers_from(None, capacity) == {A: ReservationTimer(since=ago(50))}
    assert timers_from(memory_json({}), capacity) == {}, "a memory is newer"


@pytest.mark.parametrize("damaged", ["{", "[]", '{"delays": 1}', '{"unannounced": [["one"]]}'])
def test_a_damaged_memory_is_named(damaged: str) -> None:
    with pytest.raises(UnreadableDocument) as caught:
        check_memory(damaged)
    assert MEMORY in str(caught.value)


def test_a_later_version_may_add_members() -> None:
    check_memory('{"of_a_later_version": 1}')
    assert timers_from('{"of_a_later_version": 1}', None) == {}
