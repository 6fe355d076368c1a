"""Reading a log file while a process writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class LogFollower:
    """A reader that returns each line of a growing file once."""

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock
        self._position = 0
        self._incomplete = b""

    def new_lines(self, *, ended: bool = False) -> list[tuple[float, str]]:
        """Return the lines completed since the last call, each with the time of this call.

        Args:
            ended: the process has ended, so text without a newline counts as a line.
        """
        *lines, self._incomplete = (self._incomplete + self._read()).split(b"\n")
        if ended and self._incomplete:
            lines.append(self._incomplete)
            self._incomplete = b""
        now = self._clock()
        return [(now, line.decode(errors="replace").rstrip("\r")) for line in lines]

    def _read(self) -> bytes:
        try:
            with self._file.open("rb") as file:
                file.seek(self._position)
                content = file.read()
        except FileNotFoundError:
            return b""
        self._position += len(content)
        return content
