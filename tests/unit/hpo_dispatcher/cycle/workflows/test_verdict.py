"""What a workflow is told about its request, by its state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind
from hpo_dispatcher.cycle.workflows.verdict import (
    LONGEST_DELAY,
    MOST_ATTEMPTS,
    NOT_IN_LEDGER,
    Failure,
    Heartbeat,
    Later,
    Success,
    Verdict,
    after_failed_attempt,
    verdict,
)
from tests.support.waiting_workflows import STEP_TOKEN, TASK_TOKEN

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TASK = OwedAnswer(
    callback=Callback(kind=CallbackKind.STEP_FUNCTIONS, token=TASK_TOKEN),
    team="fraud",
    request_id="a",
)
STEP = replace(TASK, callback=Callback(kind=CallbackKind.PIPELINE, token=STEP_TOKEN))


def entry(status: Status, reason: str = "") -> Entry:
    return Entry(team="fraud", request_id="a", status=status, accepted_at=NOON, reason=reason)


def failure(error: str, cause: str) -> Failure:
    return Failure(WorkflowFailure(error=error, cause=cause))


@pytest.mark.parametrize("status", [Status.QUEUED, Status.IN_PROGRESS, Status.STOPPING])
def test_a_request_that_has_not_ended_is_a_heartbeat(status: Status) -> None:
    assert verdict(TASK, entry(status), NOON) == Heartbeat()
    assert verdict(STEP, entry(status), NOON) == Heartbeat()  # for which there is no call


@pytest.mark.parametrize("owed", [TASK, STEP])
@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (entry(Status.COMPLETED), Success(entry(Status.COMPLETED))),
        (entry(Status.FAILED, "no data"), failure("Hpoq.Failed", "no data")),
        (entry(Status.STOPPED), failure("Hpoq.Stopped", "the request ended as Stopped")),
        (entry(Status.CANCELLED, "by its team"), failure("Hpoq.Cancelled", "by its team")),
        (entry(Status.REJECTED, "a: b. c"), failure("Hpoq.Rejected", "a: b. c")),
        (None, failure("Hpoq.Rejected", NOT_IN_LEDGER)),
    ],
    ids=["completed", "failed", "stopped", "cancelled", "rejected", "unknown"],
)
def test_every_end_is_an_answer(owed: OwedAnswer, ended: Entry | None, told: Verdict) -> None:
    assert verdict(owed, ended, NOON) == told


def test_every_state_is_one_of_these() -> None:
    told = {status: type(verdict(TASK, entry(status), NOON)) for status in Status}
    ended = {status for status, kind in told.items() if kind in (Success, Failure)}
    assert ended == {status for status in Status if status.ended}


def test_a_rejected_message_is_answered_whatever_has_its_request_id() -> None:
    """A message whose request id is taken does not wait for the other request."""
    refused = replace(TASK, refusal="request_id: 'a' was already used")
    for there in (None, entry(Status.QUEUED), entry(Status.COMPLETED)):
        assert verdict(refused, there, NOON) == failure(
            "Hpoq.Rejected", "request_id: 'a' was already used"
        )


def test_a_postponed_answer_waits_for_its_time() -> None:
    later = replace(TASK, retry_at=NOON + timedelta(seconds=1))
    assert verdict(later, entry(Status.COMPLETED), NOON) == Later()
    assert isinstance(verdict(later, entry(Status.COMPLETED), NOON + timedelta(minutes=1)), Success)


def test_attempts_are_bounded_and_less_and_less_frequent() -> None:
    owed, at, delays = TASK, NOON, list[timedelta]()
    while (later := after_failed_attempt(owed, at)) is not None:
        assert later.retry_at is not None
        delays.append(later.retry_at - at)
        owed, at = later, later.retry_at
    assert len(delays) == MOST_ATTEMPTS - 1
    assert delays[:4] == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 8)]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY
    # As long as SQS keeps a message at most.
    assert timedelta(days=12) < at - NOON < timedelta(days=15)
