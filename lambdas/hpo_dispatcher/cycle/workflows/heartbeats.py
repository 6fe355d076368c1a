"""Heartbeats at intervals, however often cycles run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult
from hpo_dispatcher.ports import Reply, Workflows

# Shorter than the time between two scheduled cycles, so that each of those sends a heartbeat.
INTERVAL = timedelta(minutes=5)
MOST_REMEMBERED = 10_000  # with so many, those that no longer count are forgotten


class SpacedHeartbeats:
    """``Workflows`` that gets a heartbeat for each step once in an interval.

    Cycles may follow each other within seconds, and thousands of steps may wait. What a process has
    sent is kept in its memory: another process sends one heartbeat more.

    Args:
        workflows: the services.
        clock: the current time; a frozen process may have no other reliable clock.
    """

    def __init__(self, workflows: Workflows, clock: Callable[[], datetime]) -> None:
        self._workflows = workflows
        self._clock = clock
        self._sent: dict[str, datetime] = {}  # by the digest of the token

    def succeed(self, owed: OwedAnswer, result: WorkflowResult) -> Reply:
        """See ``Workflows``."""
        return self._workflows.succeed(owed, result)

    def fail(self, owed: OwedAnswer, failure: WorkflowFailure) -> Reply:
        """See ``Workflows``."""
        return self._workflows.fail(owed, failure)

    def heartbeat(self, owed: OwedAnswer) -> Reply:
        """See ``Workflows``."""
        now, digest = self._clock(), owed.callback.digest
        sent = self._sent.get(digest)
        if sent is not None and now - sent < INTERVAL:
            return Reply.TAKEN
        reply = self._workflows.heartbeat(owed)
        if reply is Reply.TAKEN:
            if len(self._sent) >= MOST_REMEMBERED:
                recent = list(self._sent.items())
                self._sent = {each: at for each, at in recent if now - at < INTERVAL}
            self._sent[digest] = now
        return reply
