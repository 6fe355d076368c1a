"""Limits of a cycle: how long it may go on, how fast and how many at once it may call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

THREADS = 20

_V = TypeVar("_V")
_R = TypeVar("_R")


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """When this invocation must have ended."""

    remaining: Callable[[], float]  # seconds
    total: float  # seconds left at the start of the cycle
    margin: float = 5.0  # seconds kept for writing what has happened

    def passed(self, share: float = 1.0) -> bool:
        """Whether ``share`` of the time is used up; the margin always stays free."""
        return self.remaining() < max(self.margin, self.total * (1 - share))


@dataclass
class TokenBucket:
    """Lets ``rate`` calls a second through, ``burst`` of them at once."""

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
        """Wait for a token. Callers are served in turn: a debt counts as taken."""
        with self._lock:
            now = self.clock()
            self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.rate)
            self._filled_at = now
            self._tokens -= 1
            wait = -self._tokens / self.rate
        if wait > 0:
            self.sleep(wait)


def at_once(call: Callable[[_V], _R], values: Iterable[_V]) -> list[_R]:
    """What ``call`` returns for each value, in their order; THREADS of them at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, values))
