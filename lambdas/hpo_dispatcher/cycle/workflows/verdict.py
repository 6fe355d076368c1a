"""What to tell a workflow about its request now. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.workflows.answers import ERROR_PREFIX, OwedAnswer, WorkflowFailure

# The delay after a failed attempt doubles up to the longest one.
FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=6)
# After this many failed attempts, two weeks, the dispatcher gives up.
MOST_ATTEMPTS = 64
NOT_IN_LEDGER = "the request is not in the ledger"


@dataclass(frozen=True)
class Later:
    """An attempt has failed, and the next one is later."""


@dataclass(frozen=True)
class Heartbeat:
    """The request has not ended. A callback step has no heartbeat: see ``Workflows``."""


@dataclass(frozen=True)
class Success:
    """The request completed."""

    entry: Entry


@dataclass(frozen=True)
class Failure:
    """The request ended in another way."""

    failure: WorkflowFailure


Verdict = Later | Heartbeat | Success | Failure


def verdict(owed: OwedAnswer, entry: Entry | None, now: datetime) -> Verdict:
    """Return what to tell a workflow.

    Args:
        owed: the answer that the workflow waits for.
        entry: its request; None if the ledger has no such request.
        now: the time of this attempt.
    """
    if owed.retry_at and now < owed.retry_at:
        return Later()
    if owed.refusal:
        return Failure(_failure(Status.REJECTED, owed.refusal))
    if entry is None:
        return Failure(_failure(Status.REJECTED, NOT_IN_LEDGER))
    if not entry.status.ended:
        return Heartbeat()
    if entry.status is Status.COMPLETED:
        return Success(entry)
    return Failure(_failure(entry.status, entry.reason))


def _failure(status: Status, reason: str) -> WorkflowFailure:
    cause = reason or f"the request ended as {status}"
    return WorkflowFailure(error=f"{ERROR_PREFIX}{status}", cause=cause)


def after_failed_attempt(owed: OwedAnswer, now: datetime) -> OwedAnswer | None:
    """Return an answer with its next attempt; None after the last attempt."""
    attempts = owed.attempts + 1
    if attempts >= MOST_ATTEMPTS:
        return None
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(attempts - 1, 16))
    return replace(owed, attempts=attempts, retry_at=now + delay)
