"""The API's rate limits, for whoever wants to see a client meet them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hpoq.local.sagemaker.errors import ApiError


class Throttle:
    """Lets so many calls a second of each operation through; a second's worth at once.

    Args:
        rate: calls a second of one operation; None for any number.
        clock: seconds, monotonic.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}  # calls left, and when that was
        self._lock = threading.Lock()

    def check(self, operation: str) -> None:
        """Count a call.

        Raises:
            ApiError: it is one too many, as SageMaker says it.
        """
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            left, since = self._left.get(operation, (self._rate, now))
            left = min(self._rate, left + (now - since) * self._rate)
            allowed = left >= 1
            self._left[operation] = (left - 1 if allowed else left, now)
        if not allowed:
            raise ApiError("ThrottlingException", "Rate exceeded")
