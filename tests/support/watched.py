"""Which port's method is at work when an API call is made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hpo_dispatcher.cycle.dispatcher import Dispatcher

_now = threading.local()
START = "start"  # no method: the dispatcher is being made


def method_at_work() -> str:
    """Such as ``requests.start``."""
    return getattr(_now, "method", START)


class Watched:
    """A port that says, in the thread that calls it, which of its methods is at work."""

    def __init__(self, name: str, port: object) -> None:
        self._name, self._port = name, port

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real: Callable[..., Any] = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            before = method_at_work()
            _now.method = f"{self._name}.{name}"
            try:
                return real(*args, **kwargs)
            finally:
                _now.method = before

        return call


def watched(dispatcher: Dispatcher) -> Dispatcher:
    """The same dispatcher over watched ports."""
    names = ("queues", "leases", "documents", "requests", "tuning", "events", "quotas")
    ports: dict[str, Any] = {name: Watched(name, getattr(dispatcher, name)) for name in names}
    images: Any = Watched("images", dispatcher.builder.images)
    return replace(dispatcher, builder=replace(dispatcher.builder, images=images), **ports)
