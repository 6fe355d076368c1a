"""Limits of a cycle: its deadline, its rate of API calls, and its number of concurrent calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

THREADS = 20

_V = TypeVar("_V")
_R = TypeVar("_R")


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """The time by which an invocation must have ended."""

    remaining: Callable[[], float]  # seconds
    total: float  # seconds left at the start of the cycle
    margin: float = 5.0  # seconds kept for writing what has happened

    @classmethod
    def of(cls, context: LambdaContext) -> Deadline:
        """Return the deadline that Lambda sets for an invocation."""

        def remaining() -> float:
            return context.get_remaining_time_in_millis() / 1000

        return cls(remaining=remaining, total=remaining())

    def passed(self, share: float = 1.0) -> bool:
        """Return whether ``share`` of the time is used up; the margin always stays free."""
        return self.remaining() < max(self.margin, self.total * (1 - share))


@dataclass
class TokenBucket:
    """A rate limit of ``rate`` calls a second, after an initial burst."""

    rate: float
    burst: float
    clock: Callable[[], float]  # seconds, monotonic
    sleep: Callable[[float], None]
    _tokens: float = field(init=False)
    _filled_at: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._tokens = self.burst
        self._filled_at = self.clock()

    def take(self) -> None:
        """Wait for a token. Callers that wait are served in the order of their calls."""
        with self._lock:
            now = self.clock()
            self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.rate)
            self._filled_at = now
            self._tokens -= 1
            wait = -self._tokens / self.rate
        if wait > 0:
            self.sleep(wait)


def map_concurrently(call: Callable[[_V], _R], values: Iterable[_V]) -> list[_R]:
    """Call a function with each value, THREADS at a time; return the results in order."""
    given = list(values)
    if len(given) < 2:  # most cycles have little to do, and a thread takes longer than a branch
        return [call(value) for value in given]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, given))
