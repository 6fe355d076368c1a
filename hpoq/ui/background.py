"""Answers that threads fetch, while pages show what is known so far."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from hpo_dispatcher.contract.errors import HpoqError
from hpoq.ui.recall import KEPT, REST

T = TypeVar("T")
Report = Callable[[T], None]


@dataclass(frozen=True, kw_only=True)
class Known(Generic[T]):
    """What is known of an answer.

    Attributes:
        value: the last answer, or the part of the first one that has arrived; None for nothing.
        complete: whether ``value`` is an answer, or there will be none because of an error.
        error: why the last attempt to fetch it failed; None if it did not.
    """

    value: T | None
    complete: bool
    error: HpoqError | None = None

    @property
    def note(self) -> str:
        """The error as text; empty for none."""
        return str(self.error) if self.error else ""


@dataclass
class _Slot:
    """One question, its answer and the thread that fetches it."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    value: Any = None
    complete: bool = False
    error: Exception | None = None
    fetching: bool = False
    due: float = 0.0


class Pending(Generic[T]):
    """An answer that is known or on its way."""

    def __init__(self, slot: _Slot, clock: Callable[[], float]) -> None:
        self._slot = slot
        self._clock = clock

    def by(self, deadline: float) -> Known[T]:
        """Return what is known as soon as it is complete, at the latest at the deadline.

        Raises:
            Exception: an unexpected error of the fetch.
        """
        slot = self._slot
        with slot.changed:
            while not slot.complete and (left := deadline - self._clock()) > 0:
                slot.changed.wait(left)
            error = slot.error
            if error is not None and not isinstance(error, HpoqError):
                raise error
            return Known(value=slot.value, complete=slot.complete, error=error)


class Background:
    """A thread-safe cache whose answers are fetched by threads.

    An old answer is returned at once while a thread fetches it again. Equal questions share one
    fetch.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()

    def ask(
        self, question: Hashable, fetch: Callable[[Report[T]], T], seconds: float
    ) -> Pending[T]:
        """Return the answer, and fetch it in a thread if it is missing or old.

        Args:
            question: the key of the answer.
            fetch: fetches the answer; may report parts of it, which are shown until it is complete.
            seconds: how long to reuse the answer; longer if fetching it took long.
        """
        with self._lock:
            slot = self._slots.setdefault(question, _Slot())
            self._slots.move_to_end(question)
            while len(self._slots) > KEPT:
                self._slots.popitem(last=False)
        with slot.changed:
            if not slot.fetching and self.clock() >= slot.due:
                slot.fetching = True
                arguments = (slot, fetch, seconds)
                threading.Thread(target=self._fetch, args=arguments, daemon=True).start()
        return Pending(slot, self.clock)

    def _fetch(self, slot: _Slot, fetch: Callable[[Report[Any]], Any], seconds: float) -> None:
        def report(part: Any) -> None:
            with slot.changed:
                if not slot.complete or slot.error:
                    slot.value = part

        began, error = self.clock(), None
        try:
            value = fetch(report)
        except Exception as raised:  # raised again in the thread that shows the page
            error = raised
        ended = self.clock()
        with slot.changed:
            slot.error = error
            if error is None:
                slot.value = value
            slot.complete = True
            slot.fetching = False
            slot.due = ended + max(seconds, REST * (ended - began))
            slot.changed.notify_all()
