"""The port to the teams' SQS queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hpo_dispatcher.contract.errors import InvalidRequest

MESSAGES_AT_ONCE = 10  # SQS: messages per ReceiveMessage and DeleteMessageBatch


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A received message; other receivers cannot see it until it is deleted or times out."""

    team: str  # the team whose queue it came from, never what the body says
    message_id: str
    receipt: str
    body: str
    sent_at: datetime  # when SQS accepted it; UTC


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A message for the dead-letter queue, and the reason."""

    team: str
    request_id: str
    message_id: str
    body: str
    error: InvalidRequest


class RequestQueues(Protocol):
    """The teams' request queues and their dead-letter queues."""

    def receive(self, team: str, *, wait: bool = True) -> Sequence[Envelope]:
        """Return the next messages, at most ``MESSAGES_AT_ONCE``.

        Args:
            team: whose queue.
            wait: ask every SQS server, so that an empty answer means an empty queue. Without it,
                the answer comes at once and may leave out messages.
        """

    def delete(self, envelopes: Sequence[Envelope]) -> None:
        """Delete messages of one team; deleting a message twice is harmless."""

    def reject(self, rejection: Rejection) -> None:
        """Send a message to the team's dead-letter queue, with the reason as attributes."""
