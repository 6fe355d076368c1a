"""A dispatcher whose process dies at a given call, and the cycles after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.outcome import Summary
from tests.support.dispatcher_account import Account, ample_time


class Killed(BaseException):
    """The end of a process, which the dispatcher cannot catch."""


class KilledAt:
    """A port that kills the process at the n-th call of a method, before or after its effect."""

    def __init__(self, port: object, method: str, *, after: bool, nth: int = 1) -> None:
        self._port, self._method, self._after, self._left = port, method, after, nth

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real: Callable[..., Any] = getattr(self._port, name)
        return self._dying(real) if name == self._method else real

    def _dying(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left:
                return real(*args, **kwargs)
            if self._after:
                real(*args, **kwargs)
            raise Killed(self._method)

        return call


def later(account: Account) -> Summary:
    """Run a cycle long enough after a kill for the lease to have expired."""
    return much_later(account.dispatcher())


def much_later(dispatcher: Dispatcher, hours: int = 0) -> Summary:
    """Run a cycle after every lease has expired, and hours after the first of such cycles."""
    tomorrow = replace(
        dispatcher,
        clock=lambda: datetime.now(UTC).replace(year=2100) + timedelta(hours=hours),
    )
    return tomorrow.run(ample_time())


def make_messages_visible(account: Account) -> None:
    """Let the visibility timeout expire for messages that a killed dispatcher had received."""
    from moto.backends import get_backend

    for queue in get_backend("sqs")["123456789012"]["eu-central-1"].queues.values():
        for message in queue._messages:
            message.change_visibility(
                -1
            )  # in the past, because 0 would end only after this millisecond


def kill(dispatcher: Dispatcher, port: str, method: str, after: bool) -> Dispatcher:
    dying: Any = KilledAt(getattr(dispatcher, port), method, after=after)
    return replace(dispatcher, **{port: dying})
