"""Save a run so that a spot interruption or a kill loses next to nothing."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch

FILE = "checkpoint.pt"


class Checkpoint:
    """The last state of a run, in a folder that outlives the machine; or nowhere."""

    def __init__(self, folder: Path | None) -> None:
        self.path = folder / FILE if folder else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the last one. Whenever the process dies, one whole checkpoint is there."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)

    def load(self) -> dict[str, Any] | None:
        """The last one saved, if any."""
        if self.path is None or not self.path.is_file():
            return None
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        return state


class Interruption:
    """Notices SIGTERM, which SageMaker sends two minutes before it takes a spot instance.

    Calling it says whether the signal has come: the loop asks between two steps.
    """

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.came, self.then = False, then
        signal.signal(signal.SIGTERM, self._note)

    def __call__(self) -> bool:
        """Whether it has come."""
        return self.came

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        print("SIGTERM: saving a checkpoint", file=sys.stderr, flush=True)
        self.then()
