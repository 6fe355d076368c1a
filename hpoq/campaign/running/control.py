"""Pause, resume and cancel: a command in a file beside the plan that every runner reads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Command = Literal["run", "pause", "cancel"]


class Control:
    """The latest command of the user, kept in ``<plan>.control``.

    Args:
        plan: path of the plan file; None keeps the command in this process only.
    """

    def __init__(self, plan: Path | None) -> None:
        self._file = plan.with_name(plan.name + ".control") if plan else None
        self._command: Command = "run"

    @property
    def command(self) -> Command:
        """The latest command; ``run`` if none was given."""
        if self._file is None:
            return self._command
        try:
            text = self._file.read_text().strip()
        except FileNotFoundError:
            return "run"
        return "pause" if text == "pause" else "cancel" if text == "cancel" else "run"

    def send(self, command: Command) -> None:
        """Replace the command."""
        self._command = command
        if self._file is None:
            return
        if command == "run":
            self._file.unlink(missing_ok=True)
        else:
            self._file.write_text(f"{command}\n")
