"""Training processes that end at once, or when they are stopped, without an operating system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.training.processes.process_pool import TrainingProcess
from hpoq.local.sagemaker.training.programs.program import Program

HOLD = "--hold"  # the flag of a process that ends when it is stopped


class InstantProcesses:
    """A ``ProcessPool`` whose programs print one value of ``auc``."""

    def __init__(self, interpreter: Path, **_: Any) -> None:
        self._running: list[TrainingProcess] = []
        self._closed = False

    def warm_up(self, package: str) -> None:
        """Do nothing: there is no warm parent."""

    def start(self, program: Program, log: Path) -> TrainingProcess:
        """Return a process that has printed, and ended unless its arguments contain HOLD."""
        process = TrainingProcess(id=str(id(program)), pid=None, status=0)
        log.write_text("auc=0.5\n")
        self._running.append(process)
        if HOLD not in program.arguments or self._closed:
            process.ended.set()
        return process

    def stop(self, process: TrainingProcess) -> None:
        """End a process."""
        process.stopped = True
        process.ended.set()

    kill = stop

    def close(self) -> None:
        """End every process, now and later."""
        self._closed = True
        for process in self._running:
            process.ended.set()
