"""A cache of answers, so that many open pages send no more calls than one."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

# An answer is reused for at least this many times as long as it took to fetch: SageMaker allows
# few calls per second, and reading a long ledger is expensive.
REST = 10
KEPT = 2_000
FOREVER = float("inf")


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = 0.0
    answer: Any = None


class Recall:
    """A thread-safe cache of answers.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def get(
        self,
        question: Hashable,
        ask: Callable[[], T],
        seconds: float,
        *,
        settled: Callable[[T], bool] = lambda _: False,
    ) -> T:
        """Return the answer, fetched again if it is old; concurrent callers wait for one fetch.

        Args:
            question: the key of the answer.
            ask: fetches the answer; its errors are not cached.
            seconds: how long to reuse the answer; longer if fetching it took long.
            settled: returns whether an answer will never change.
        """
        with self._lock:
            kept = self._kept.setdefault(question, _Kept())
            self._kept.move_to_end(question)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        with kept.lock:
            if self._clock() >= kept.until:
                began = self._clock()
                kept.answer = ask()
                ended = self._clock()
                good = FOREVER if settled(kept.answer) else max(seconds, REST * (ended - began))
                kept.until = ended + good
            answer: T = kept.answer
            return answer
