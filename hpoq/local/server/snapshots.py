"""Keeping the account's state on disk while it runs, so that a kill loses a moment at most.

ministack writes its state when it stops, and S3 objects at once. Here the rest is written
soon after each change, too, in proportion: never more than a fiftieth of the time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping

import ministack.app
from ministack.core.persistence import save_state
from ministack.services import lambda_svc

logger = logging.getLogger(__name__)

SOON = 1.0  # seconds from a change to the first write
SHARE = 50  # seconds of peace for each second of writing
State = Callable[[], Mapping[str, object] | None]


class Snapshots:
    """Writes what changed; runs on the loop that serves requests, as handlers do."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._functions: Hashable = None

    def change(self) -> None:
        """Something may have changed; from any thread."""
        loop = ministack.app._MAIN_LOOP
        loop.call_soon_threadsafe(self._changed.set)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(SOON)
            self._changed.clear()
            began = time.monotonic()
            self.save()
            await asyncio.sleep((time.monotonic() - began) * SHARE)

    def save(self) -> None:
        """Each service's state, whole or not at all."""
        for name, state in ministack.app._build_persistence_save_dict().items():
            if name == "lambda":
                self._save_functions(state)
            else:
                self._save(name, state)

    def _save_functions(self, state: State) -> None:
        """Functions and layers are large, and change with a deployment only."""
        functions = _functions()
        if functions != self._functions and self._save("lambda", state):
            self._functions = functions

    def _save(self, name: str, state: State) -> bool:
        try:
            content = state()
        except RuntimeError as error:  # changed by a thread while it was copied
            logger.debug("%s changes too fast to be saved: %s", name, error)
            self._changed.set()
            return False
        if content:
            save_state(name, content)
        return True


def _functions() -> Hashable:
    """Differs from the last one when a function or a layer has changed."""
    functions = frozenset(
        (key, str(record.get("config", {}).get("RevisionId")), len(record.get("versions", {})))
        for key, record in lambda_svc._functions._data.items()
    )
    layers = frozenset(
        (key, len(record.get("versions", []))) for key, record in lambda_svc._layers._data.items()
    )
    return functions, layers
