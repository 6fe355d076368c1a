"""The rate limits of the API, for testing how clients handle throttling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hpoq.local.sagemaker.errors import ApiError


class RateLimiter:
    """A token bucket for each operation, which holds the calls of one second.

    Args:
        rate: calls per second of one operation; None disables the limit.
        clock: seconds, monotonic.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens: dict[str, tuple[float, float]] = {}  # tokens, and the time of the last call
        self._lock = threading.Lock()

    def check(self, operation: str) -> None:
        """Count a call.

        Raises:
            ApiError: if the call exceeds the rate.
        """
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            tokens, since = self._tokens.get(operation, (self._rate, now))
            tokens = min(self._rate, tokens + (now - since) * self._rate)
            allowed = tokens >= 1
            self._tokens[operation] = (tokens - 1 if allowed else tokens, now)
        if not allowed:
            raise ApiError("ThrottlingException", "Rate exceeded")
