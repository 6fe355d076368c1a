"""Python environments in the user's cache folder, each created once and shared by all clouds."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "HPOQ_CACHE"
_READY = "ready"
_POLL_INTERVAL = 0.05  # seconds between two attempts to get a lock


def cache_folder() -> Path:
    """Return the folder of all environments."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(VARIABLE) or Path(base) / "hpoq")


def digest(*parts: str | bytes) -> str:
    """Return a short digest of what an environment consists of, for its name."""
    encoded = (part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(b"\0".join(encoded)).hexdigest()[:12]


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "bin" / "python"


def is_complete(folder: Path) -> bool:
    """Return whether an environment was created completely."""
    return (folder / _READY).exists() and python_of(folder).exists()


def complete(
    folder: Path, create: Callable[[Path], None], while_waiting: Callable[[], None] = lambda: None
) -> bool:
    """Create an environment unless it is complete; return whether it was created now.

    One caller at a time creates it, in any process; the others wait and then use it. If ``create``
    raises an error, the next caller starts again.

    Args:
        folder: where the environment is.
        create: fills the folder, which does not exist yet.
        while_waiting: called again and again while another caller creates it; may raise an error.
    """
    with _one_at_a_time(folder, while_waiting):
        if is_complete(folder):
            return False
        shutil.rmtree(folder, ignore_errors=True)  # the remains of an interrupted installation
        create(folder)
        (folder / _READY).touch()
        return True


@contextmanager
def _one_at_a_time(folder: Path, while_waiting: Callable[[], None]) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                while_waiting()
                time.sleep(_POLL_INTERVAL)
        yield
