"""Counts AWS calls and throttled ones, retries included."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

# As botocore's ThrottledRetryableChecker has them; spelled out, for it is no public interface.
THROTTLED = frozenset(
    [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "RequestThrottled",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    ]
)
_TOO_MANY_REQUESTS = 429


class Emitter(Protocol):
    """Where botocore announces what it does: a session's or a client's ``events``."""

    def register(self, event_name: str, handler: Any) -> None:
        """Be told of an event."""


class CallCounter:
    """Listens to every answer of every client made after ``listen``; safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._throttled: Counter[str] = Counter()

    def listen(self, events: Emitter) -> None:
        """Count what the clients of this session do."""
        events.register("response-received.*.*", self._received)

    def take(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Calls and throttled calls by service, since the last time."""
        with self._lock:
            counted = self._calls, self._throttled
            self._calls, self._throttled = Counter(), Counter()
        return counted

    def _received(self, event_name: str, parsed_response: dict[str, Any] | None, **_: Any) -> None:
        """One attempt has been answered, or has failed on the way."""
        service = event_name.split(".")[1]
        answer = parsed_response or {}
        code = answer.get("Error", {}).get("Code", "")
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        with self._lock:
            self._calls[service] += 1
            if code in THROTTLED or status == _TOO_MANY_REQUESTS:
                self._throttled[service] += 1
