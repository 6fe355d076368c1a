"""Snapshots of the account's state, so that a killed cloud loses only its last changes.

ministack stores S3 objects at once and its other state when it stops. This module also stores the
other state about a second after a change, using at most a fiftieth of a core.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping

import ministack.app
from ministack.core import persistence
from ministack.services import lambda_svc

logger = logging.getLogger(__name__)

DELAY = 1.0  # seconds from a change to the snapshot
PAUSE_FACTOR = 50  # seconds without snapshots for each second of CPU time of writing one
State = Callable[[], Mapping[str, object] | None]


class Snapshots:
    """A writer of snapshots, on the loop that serves requests, as ministack's handlers expect."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._functions: Hashable = None

    def request(self) -> None:
        """Request a snapshot because the state may have changed. Any thread may call it."""
        loop = ministack.app._MAIN_LOOP
        loop.call_soon_threadsafe(self._changed.set)

    async def run(self) -> None:
        """Write requested snapshots until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(DELAY)
            self._changed.clear()
            began = time.thread_time()  # on a busy machine, a save waits longer than it works
            self.save()
            await asyncio.sleep((time.thread_time() - began) * PAUSE_FACTOR)

    def save(self) -> None:
        """Write the state of each service atomically."""
        for name, state in ministack.app._build_persistence_save_dict().items():
            if name == "lambda":
                self._save_functions(state)
            else:
                self._save(name, state)

    def _save_functions(self, state: State) -> None:
        """Write functions and layers, which are large, only if a deployment changed them."""
        functions = _functions_version()
        if functions != self._functions and self._save("lambda", state):
            self._functions = functions

    def _save(self, name: str, state: State) -> bool:
        try:
            content = state()
        except RuntimeError as error:  # a thread changed the state while it was copied
            logger.debug("the state of %s changed while it was saved: %s", name, error)
            self._changed.set()
            return False
        if content:
            persistence.save_state(name, content)
        return True


def _functions_version() -> Hashable:
    """Return a value that differs when a function or a layer has changed."""
    functions = frozenset(
        (key, str(record.get("config", {}).get("RevisionId")), len(record.get("versions", {})))
        for key, record in lambda_svc._functions._data.items()
    )
    layers = frozenset(
        (key, len(record.get("versions", []))) for key, record in lambda_svc._layers._data.items()
    )
    return functions, layers
