"""The number of AWS calls and throttled calls, including retries."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

# A copy of the codes in botocore's ThrottledRetryableChecker, which is not a public interface.
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
    """The emitter of botocore's events, of a session or a client."""

    def register(self, event_name: str, handler: Any) -> None:
        """Register a handler of an event."""


class CallCounter:
    """A thread-safe counter of the answers of all clients created after ``listen``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._throttled: Counter[str] = Counter()

    def listen(self, events: Emitter) -> None:
        """Count the calls of this session's clients from now on."""
        events.register("response-received.*.*", self._received)

    def take(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Return and reset the calls and throttled calls by service."""
        with self._lock:
            counted = self._calls, self._throttled
            self._calls, self._throttled = Counter(), Counter()
        return counted

    def _received(self, event_name: str, parsed_response: dict[str, Any] | None, **_: Any) -> None:
        """Count one attempt, answered or failed."""
        service = event_name.split(".")[1]
        answer = parsed_response or {}
        code = answer.get("Error", {}).get("Code", "")
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        with self._lock:
            self._calls[service] += 1
            if code in THROTTLED or status == _TOO_MANY_REQUESTS:
                self._throttled[service] += 1
