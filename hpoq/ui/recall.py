"""Answers kept for a while, so that many open pages cost an account no more than one."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

# Of the time that passes, no more than one part in so many goes into asking the same again:
# SageMaker allows a few calls a second, and a long ledger is dear to read.
REST = 10
KEPT = 2_000
FOREVER = float("inf")


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = 0.0
    answer: Any = None


class Recall:
    """Remembers what questions were answered; safe from any thread.

    Args:
        clock: seconds, from anywhere on.
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
        """The answer, asked anew once it is old; whoever asks meanwhile waits for that.

        Args:
            question: names it.
            ask: finds the answer; its errors are not kept.
            seconds: how long it is good, or longer if it took long to find.
            settled: whether this answer will never change.
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
