"""The ports to queues and events in memory, for the simulation and for tests of the cycle."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.ports import (
    MESSAGES_AT_ONCE,
    Envelope,
    Rejection,
    StateChange,
)

Clock = Callable[[], datetime]


class MemoryQueues:
    """``RequestQueues`` in memory; a received message is invisible until ``reappear``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._visible: dict[str, deque[Envelope]] = {}
        self._received: dict[str, Envelope] = {}
        self._sent = 0
        self.dead_letters: list[tuple[str, str, InvalidRequest]] = []
        self.calls: Counter[str] = Counter()

    def send(self, team: str, body: str) -> str:
        """Send a message as a team does, and return its id."""
        with self._lock:
            self._sent += 1
            id_ = f"message-{self._sent:07}"
            envelope = Envelope(
                team=team, message_id=id_, receipt=id_, body=body, sent_at=self._clock()
            )
            self._visible.setdefault(team, deque()).append(envelope)
        return id_

    def reappear(self) -> None:
        """Make all messages visible again that were received and not deleted."""
        with self._lock:
            for envelope in self._received.values():
                self._visible.setdefault(envelope.team, deque()).append(envelope)
            self._received.clear()

    def waiting(self) -> int:
        """Return the number of messages that are not deleted."""
        with self._lock:
            return len(self._received) + sum(map(len, self._visible.values()))

    def receive(self, team: str, *, wait: bool = True) -> Sequence[Envelope]:
        """See ``RequestQueues``."""
        with self._lock:
            self.calls["sqs:ReceiveMessage"] += 1
            queue = self._visible.get(team, deque())
            taken = [queue.popleft() for _ in range(min(MESSAGES_AT_ONCE, len(queue)))]
            self._received.update({each.receipt: each for each in taken})
            return taken

    def delete(self, envelopes: Sequence[Envelope]) -> None:
        """See ``RequestQueues``."""
        with self._lock:
            self.calls["sqs:DeleteMessageBatch"] += -(-len(envelopes) // MESSAGES_AT_ONCE)
            for envelope in envelopes:
                self._received.pop(envelope.receipt, None)

    def reject(self, rejection: Rejection) -> None:
        """See ``RequestQueues``."""
        with self._lock:
            self.calls["sqs:SendMessage"] += 1
            letter = rejection.team, rejection.body, rejection.error
            self.dead_letters.append(letter)


class MemoryEvents:
    """``Events`` in memory."""

    def __init__(self) -> None:
        self.published: list[StateChange] = []
        self.calls: Counter[str] = Counter()

    def publish(self, changes: Sequence[StateChange]) -> None:
        """See ``Events``."""
        self.calls["events:PutEvents"] += -(-len(changes) // MESSAGES_AT_ONCE)
        self.published += changes
