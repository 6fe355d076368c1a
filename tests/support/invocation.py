"""An invocation of a dispatcher that is advanced port call by port call.

Tests interleave the calls of two invocations with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.lease import CycleIncomplete
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.ports import Unavailable
from tests.support.killed_dispatcher import Killed

PORTS = ("queues", "leases", "documents", "requests", "tuning", "events")
SECONDS = 30.0  # of real time, after which a dispatcher that makes no call fails the test


@dataclass(frozen=True)
class Fate:
    """The outcome of one call."""

    before: Callable[[], BaseException] | None = None
    after: Callable[[], BaseException] | None = None  # fails after it took effect
    instead: Callable[..., Any] | None = None  # called with the call's arguments


WELL = Fate()
Called = Callable[["Invocation", str, Sequence[Any], Any], None]


class Invocation:
    """A ``Dispatcher.cycle`` in a thread of its own, which waits before each call of a port.

    Args:
        dispatcher: the real dispatcher, with one thread in each pool.
        deadline: the deadline of the invocation.
        asked_at: see ``Dispatcher.cycle``.
        called: called after each call that took effect, with its arguments and answer.
    """

    def __init__(
        self, dispatcher: Dispatcher, deadline: Deadline, asked_at: datetime | None, called: Called
    ) -> None:
        ports: dict[str, Any] = {
            name: _Port(self, name, getattr(dispatcher, name)) for name in PORTS
        }
        self.dispatcher = replace(dispatcher, **ports)
        self.deadline = deadline
        self.listed: set[str] = set()  # names in its last list of tuning jobs
        self.error: BaseException | None = None
        self.next_call = ""  # empty after the cycle has ended
        self._called = called
        self._fate = WELL
        self._dead = False
        self._go, self._parked = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(asked_at,), daemon=True)
        self._thread.start()
        self._wait()

    def step(self, fate: Fate = WELL) -> None:
        """Make the pending call and advance to the next one."""
        self._fate = fate
        self._go.release()
        self._wait()

    def kill(self) -> None:
        """End the process before the pending call."""
        self._dead = True
        while self.next_call:
            self.step()

    def calls(self) -> Iterator[str]:
        """Yield each pending call until the cycle has ended."""
        while self.next_call:
            yield self.next_call

    def _wait(self) -> None:
        assert self._parked.acquire(timeout=SECONDS), f"stuck after {self.next_call}"
        if self.error:
            raise self.error

    def _run(self, asked_at: datetime | None) -> None:
        try:
            self.dispatcher.run(self.deadline, asked_at)
        except (Killed, Unavailable, CycleIncomplete):
            pass
        except BaseException as error:
            self.error = error
        self.next_call = ""
        self._parked.release()

    def pass_through(self, name: str, real: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Make one call with the outcome that the test has chosen."""
        if not self._dead:
            self.next_call = name
            self._parked.release()
            self._go.acquire()
        if self._dead:
            raise Killed(name)
        fate, self._fate = self._fate, WELL
        if fate.before:
            raise fate.before()
        answer = fate.instead(*args) if fate.instead else real(*args, **kwargs)
        self._called(self, name, args, answer)
        if fate.after:
            raise fate.after()
        return answer


class _Port:
    def __init__(self, invocation: Invocation, name: str, port: object) -> None:
        self._invocation, self._name, self._port = invocation, name, port

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real = getattr(self._port, name)
        through = self._invocation.pass_through
        return lambda *args, **kwargs: through(f"{self._name}.{name}", real, args, kwargs)
