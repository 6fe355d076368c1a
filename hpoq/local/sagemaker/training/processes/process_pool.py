"""Training processes, forked from warm parents that start when they are first needed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from hpoq.local.sagemaker.training.programs.environment import inherited
from hpoq.local.sagemaker.training.programs.program import Program

WARM_PARENT = Path(__file__).with_name("warm_parent.py")


@dataclass
class TrainingProcess:
    """One training process: an instance of a training job."""

    id: str
    ended: threading.Event = field(default_factory=threading.Event)
    pid: int | None = None
    status: int = -signal.SIGKILL
    stopped: bool = False
    killed: bool = False
    parent: subprocess.Popen[bytes] | None = None  # the warm parent


class ProcessPool:
    """The training processes of the cloud and their warm parents.

    Args:
        interpreter: of the training scripts.
        grace: seconds from the request to stop a process to SIGKILL.
        sigterm: whether the process receives SIGTERM when it is to stop.
    """

    def __init__(self, interpreter: Path, *, grace: float, sigterm: bool) -> None:
        self._interpreter = interpreter
        self._grace = grace
        self._sigterm = sigterm
        self._lock = threading.Lock()
        self._parents: dict[str, subprocess.Popen[bytes]] = {}  # by imported package
        self._processes: dict[str, TrainingProcess] = {}
        self._closed = False

    def warm_up(self, package: str) -> None:
        """Start the warm parent that imports a package, so that it is ready when needed."""
        with self._lock:
            if not self._closed:
                self._running_parent(package)

    def start(self, program: Program, log: Path) -> TrainingProcess:
        """Start a process by forking a warm parent.

        Args:
            program: the program to run.
            log: the file that receives its output.
        """
        process = TrainingProcess(id=uuid.uuid4().hex)
        variables = inherited() | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        if program.temporary:
            variables.pop("TMPDIR", None)
        order = {
            "id": process.id,
            "arguments": list(program.arguments),
            "environment": variables | dict(program.environment),
            "folder": str(program.folder),
            "log": str(log),
            "fresh": not program.warm and not program.is_command,
            "command": program.is_command,
            "isolated": program.isolated,
            "temporary": dict(program.temporary),
            "visible": [str(program.root or program.folder)],
            "note": program.note,
        }
        with self._lock:
            if self._closed:  # the process counts as killed, like those that were running
                process.ended.set()
                return process
            package = program.warm or next(iter(self._parents), "torch")
            parent = process.parent = self._running_parent(package)
            self._processes[process.id] = process
            assert parent.stdin is not None  # noqa: S101  opened as a pipe
            with contextlib.suppress(BrokenPipeError):
                parent.stdin.write(json.dumps(order).encode() + b"\n")
                parent.stdin.flush()
        return process

    def stop(self, process: TrainingProcess) -> None:
        """Send SIGTERM to a process unless it is switched off, and SIGKILL after a grace period."""
        process.stopped = True
        self._request_end(process)
        timer = threading.Timer(self._grace, self._signal, (process, signal.SIGKILL))
        timer.daemon = True
        timer.start()

    def kill(self, process: TrainingProcess) -> None:
        """Kill a process and its group, now or as soon as it has started."""
        process.stopped = process.killed = True
        self._signal(process, signal.SIGKILL)

    def close(self) -> None:
        """Kill every process and block until the warm parents have ended."""
        with self._lock:
            self._closed = True
            parents = list(self._parents.values())
            self._parents.clear()
        for process in list(self._processes.values()):
            self._signal(process, signal.SIGKILL)
        for parent in parents:
            parent.kill()
            parent.wait()

    def _request_end(self, process: TrainingProcess) -> None:
        if self._sigterm:
            self._signal(process, signal.SIGTERM)

    def _signal(self, process: TrainingProcess, number: signal.Signals) -> None:
        if process.pid and not process.ended.is_set():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)

    def _running_parent(self, package: str) -> subprocess.Popen[bytes]:
        parent = self._parents.get(package)
        if parent is None or parent.poll() is not None:
            parent = self._parents[package] = subprocess.Popen(
                [str(self._interpreter), "-u", str(WARM_PARENT), package],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=inherited(),
            )
            reader = threading.Thread(target=self._read_reports, args=(parent,), daemon=True)
            reader.start()
        return parent

    def _read_reports(self, parent: subprocess.Popen[bytes]) -> None:
        """Read a warm parent's reports until it ends; its remaining processes count as killed."""
        assert parent.stdout is not None  # noqa: S101  opened as a pipe
        for line in parent.stdout:
            report = json.loads(line)
            process = self._processes.get(report["id"])
            if process is None:
                continue
            if "pid" in report:
                process.pid = report["pid"]
                if process.killed:
                    self._signal(process, signal.SIGKILL)
                elif process.stopped:
                    self._request_end(process)
            else:
                process.status = report["status"]
                self._processes.pop(process.id, None)
                process.ended.set()
        with self._lock:
            remaining = [each for each in self._processes.values() if each.parent is parent]
            for process in remaining:
                self._processes.pop(process.id, None)
                process.ended.set()
