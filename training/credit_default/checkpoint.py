"""Save a training run and its best model after each epoch.

SageMaker may end a container by SIGKILL alone: its PyTorch image starts a shell as process 1, which
does not forward SIGTERM to the script. What a run has not written by then is lost.
"""

import io
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from credit_default.files import write_atomically

FILE = "checkpoint.pt"
# What torch.load raises for a file of another kind: it tries its formats one after the other.
_NOT_PACKED = (
    pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, KeyError, OSError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip


class Damaged(ValueError):
    """A file is cut off, empty, or of another kind than it should be."""


def pack(content: dict[str, Any]) -> bytes:
    """Return the content of a file that torch.load reads: plain values and tensors."""
    packed = io.BytesIO()
    torch.save(content, packed)
    return packed.getvalue()


def unpack(path: Path) -> dict[str, Any]:
    """Return the content of a file that ``pack`` made, on the CPU.

    Raises:
        Damaged: the file is cut off, empty, or of another kind.
    """
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except _NOT_PACKED as error:
        raise Damaged(f"{path} is damaged or of another kind ({_first_line(error)})") from None
    if not isinstance(content, dict):
        raise Damaged(f"{path} is of another kind")
    return content


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class Checkpoint:
    """The last saved state of a training run.

    Without a folder, nothing is saved.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = folder / FILE if folder else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state."""
        if self.path is not None:
            write_atomically(self.path, pack(state))

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, or None if there is none.

        Raises:
            Damaged: the file cannot be read.
        """
        if self.path is None or not self.path.is_file():
            return None
        return unpack(self.path)


class Interruption:
    """A SIGTERM handler, for images that forward the signal to the script.

    SageMaker sends SIGTERM two minutes before it kills a stopped job or reclaims a spot instance.
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
