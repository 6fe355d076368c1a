"""A dispatcher killed at any call loses nothing and doubles nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.cycle.pacing import Deadline
from tests.unit.hpo_dispatcher.conftest import Account, ample_time

REQUESTS = [("fraud", "a"), ("fraud", "b"), ("vision", "a")]


class Killed(BaseException):
    """The process ends here; nothing catches it."""


class KilledAt:
    """A port whose process dies at the n-th call of one method, before or after it works."""

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
    """The next cycle, long enough after the kill for the lease to have expired."""
    return much_later(account.dispatcher())


def much_later(dispatcher: Dispatcher) -> Summary:
    """A cycle after every lease has expired."""
    tomorrow = replace(dispatcher, clock=lambda: datetime.now(UTC).replace(year=2100))
    return tomorrow.cycle(ample_time())


def make_messages_visible(account: Account) -> None:
    """Stands for the visibility timeout of messages a killed dispatcher had received."""
    from moto.backends import get_backend

    for queue in get_backend("sqs")["123456789012"]["eu-central-1"].queues.values():
        for message in queue._messages:
            message.change_visibility(-1)  # the past: 0 is visible only after this millisecond


CALLS = [
    ("queues", "receive"),
    ("ledger", "acquire_lease"),
    ("ledger", "add"),
    ("queues", "delete"),
    ("ledger", "active"),
    ("tuning", "in_progress"),
    ("ledger", "heads"),
    ("ledger", "start"),
    ("tuning", "create"),
    ("ledger", "release_lease"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "method"), CALLS)
def test_a_dispatcher_killed_at_a_call_loses_and_doubles_nothing(
    account: Account, port: str, method: str, after: bool
) -> None:
    for team, request_id in REQUESTS:
        account.request(team, request_id)
    with pytest.raises(Killed):
        kill(account.dispatcher(), port, method, after).cycle(ample_time())
    make_messages_visible(account)

    later(account)
    later(account)

    assert len(account.tuning_jobs()) == len(REQUESTS)
    for team, request_id in REQUESTS:
        entry = account.dispatcher().ledger.get(team, request_id)
        assert entry is not None
        assert entry.status is Status.COMPLETED
    assert account.waiting("fraud") == account.waiting("vision") == 0
    assert account.dead_letters("fraud") == account.dead_letters("vision") == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "method"), [("tuning", "describe"), ("ledger", "finish")])
def test_a_dispatcher_killed_while_reconciling_is_made_good_by_the_next(
    account: Account, port: str, method: str, after: bool
) -> None:
    account.request("fraud", "a")
    account.cycle()
    with pytest.raises(Killed):
        kill(account.dispatcher(), port, method, after).cycle(ample_time())

    later(account)

    entry = account.dispatcher().ledger.get("fraud", "a")
    assert entry is not None
    assert entry.status is Status.COMPLETED
    assert account.dispatcher().ledger.active() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "method"), [("queues", "reject"), ("queues", "delete")])
def test_a_bad_message_survives_a_kill_too(
    account: Account, port: str, method: str, after: bool
) -> None:
    account.send("fraud", "not JSON")
    with pytest.raises(Killed):
        kill(account.dispatcher(), port, method, after).cycle(ample_time())
    make_messages_visible(account)

    later(account)

    assert account.waiting("fraud") == 0
    letters = account.dead_letters("fraud")
    assert {letter["body"] for letter in letters} == {"not JSON"}


def kill(dispatcher: Dispatcher, port: str, method: str, after: bool) -> Dispatcher:
    dying: Any = KilledAt(getattr(dispatcher, port), method, after=after)
    return replace(dispatcher, **{port: dying})


def test_a_cycle_without_time_starts_nothing_and_loses_nothing(account: Account) -> None:
    account.request("fraud", "a")
    no_time = Deadline(remaining=lambda: 1.0, total=900.0)

    summary = account.dispatcher().cycle(no_time)

    assert (summary.received, summary.started) == (0, 0)
    assert account.cycle().started == 1
