"""Reading a log while it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class Follower:
    """Hands out the lines of a growing file, each once."""

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock
        self._position = 0
        self._begun = b""

    def new_lines(self, *, ended: bool = False) -> list[tuple[float, str]]:
        """Lines completed since the last call, with the time of this one.

        Args:
            ended: nobody writes any more, so that what stands there without a newline counts.
        """
        *whole, self._begun = (self._begun + self._read()).split(b"\n")
        if ended and self._begun:
            whole.append(self._begun)
            self._begun = b""
        now = self._clock()
        return [(now, line.decode(errors="replace").rstrip("\r")) for line in whole]

    def _read(self) -> bytes:
        try:
            with self._file.open("rb") as file:
                file.seek(self._position)
                content = file.read()
        except FileNotFoundError:
            return b""
        self._position += len(content)
        return content
