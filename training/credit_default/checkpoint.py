"""Save a training run after each epoch, so that it can be resumed after an interruption."""

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
    """The last saved state of a training run.

    Without a folder, nothing is saved.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = folder / FILE if folder else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state atomically: a killed process leaves a complete checkpoint."""
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
        """Return the saved state, or None if there is none."""
        if self.path is None or not self.path.is_file():
            return None
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        return state


class Interruption:
    """A SIGTERM handler; SageMaker sends SIGTERM two minutes before it reclaims a spot instance.

    Calling the object returns whether the signal was received. The training loop calls it before
    each step.
    """

    def __init__(self, on_signal: Callable[[], object] = lambda: None) -> None:
        self.received, self.on_signal = False, on_signal
        signal.signal(signal.SIGTERM, self._receive)

    def __call__(self) -> bool:
        """Return whether SIGTERM was received."""
        return self.received

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        print("SIGTERM: saving a checkpoint", file=sys.stderr, flush=True)
        self.on_signal()
