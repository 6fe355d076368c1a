"""The port method that is running when an API call is made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hpo_dispatcher.cycle.dispatcher import Dispatcher

_now = threading.local()
START = "start"  # no method yet: the dispatcher is being built


def method_at_work() -> str:
    """Return the running method of this thread, such as ``requests.start``."""
    return getattr(_now, "method", START)


class Watched:
    """A port that records for each thread which of its methods is running."""

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
    """Return the dispatcher with watched ports."""
    names = (
        "queues", "leases", "documents", "requests", "answers", "tuning", "events", "workflows",
        "quotas",
    )  # fmt: skip
    ports: dict[str, Any] = {name: Watched(name, getattr(dispatcher, name)) for name in names}
    images: Any = Watched("images", dispatcher.builder.images)
    return replace(dispatcher, builder=replace(dispatcher.builder, images=images), **ports)
