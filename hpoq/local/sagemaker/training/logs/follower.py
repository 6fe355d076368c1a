"""Reading a log file while a process writes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

CHUNK = 1 << 18  # bytes that one call reads, so that a flood of lines needs little memory
MOST_OF_A_LINE = 1 << 18  # bytes; CloudWatch Logs accepts no longer events
# "\t" appears as "#011" in the log of a training job, "\r" as "#015": XGBoost's published patterns
# of metrics contain "#011" (aws/sagemaker-xgboost-container issue 121).
ESCAPES = {code: f"#{code:03o}" for code in (*range(32), 127)}
CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]")


class LogFollower:
    """A reader that returns each line of a growing file once."""

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock
        self._position = 0
        self._incomplete = b""
        self.is_behind = False  # whether the last call left complete lines for the next one

    def new_lines(self, *, ended: bool = False) -> list[tuple[float, str]]:
        """Return lines completed since the last call, each with the time of this call.

        Args:
            ended: the process has ended, so text without a newline counts as a line.
        """
        content = self._read()
        self.is_behind = len(content) == CHUNK
        *lines, self._incomplete = (self._incomplete + content).split(b"\n")
        if self._incomplete and (
            (ended and not self.is_behind) or len(self._incomplete) >= MOST_OF_A_LINE
        ):
            lines.append(self._incomplete)
            self._incomplete = b""
        now = self._clock()
        texts = [line.decode(errors="replace") for line in lines]
        if CONTROL.search(content) or any(map(CONTROL.search, lines[:1])):
            texts = [text.translate(ESCAPES) for text in texts]
        return [(now, text) for text in texts]

    def _read(self) -> bytes:
        try:
            with self._file.open("rb") as file:
                file.seek(self._position)
                content = file.read(CHUNK)
        except FileNotFoundError:
            return b""
        self._position += len(content)
        return content
