"""Snapshots of an account in moto."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend

SERVICES = ("sqs", "dynamodb", "sagemaker")
State = dict[str, dict[str, Any]]


def _state() -> State:
    """Return the live attributes of each service's backend."""
    backends: Any = {service: get_backend(service) for service in SERVICES}
    return {name: each["123456789012"]["eu-central-1"].__dict__ for name, each in backends.items()}


def _copied(state: State) -> State:
    locks = [queue._messages_lock for queue in state["sqs"]["queues"].values()]
    return deepcopy(state, {id(lock): lock for lock in locks})  # a lock cannot be copied


@dataclass(frozen=True)
class AccountSnapshot:
    """The state of the services in which hpoq keeps state."""

    state: State

    @classmethod
    def take(cls) -> AccountSnapshot:
        """Copy the present state."""
        return cls(_copied(_state()))

    def restore(self) -> None:
        """Restore the copied state."""
        copy = _copied(self.state)
        for service, live in _state().items():
            live.clear()
            live.update(copy[service])
