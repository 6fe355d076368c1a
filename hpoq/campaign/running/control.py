"""Pause, resume and cancel: a word beside the plan file that every runner of it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Word = Literal["run", "pause", "cancel"]


class Control:
    """What the user wants, kept in ``<plan>.control``.

    Args:
        plan: path of the plan file; None for a campaign that lives in one process only.
    """

    def __init__(self, plan: Path | None) -> None:
        self._file = plan.with_name(plan.name + ".control") if plan else None
        self._word: Word = "run"

    @property
    def word(self) -> Word:
        """The latest one."""
        if self._file is None:
            return self._word
        try:
            word = self._file.read_text().strip()
        except FileNotFoundError:
            return "run"
        return "pause" if word == "pause" else "cancel" if word == "cancel" else "run"

    def say(self, word: Word) -> None:
        """Replace it."""
        self._word = word
        if self._file is None:
            return
        if word == "run":
            self._file.unlink(missing_ok=True)
        else:
            self._file.write_text(f"{word}\n")
