"""Training processes: forked from warm parents, each started when first needed."""

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

from hpoq.local.sagemaker.training.programs import Program

WARM_PARENT = Path(__file__).with_name("warm_parent.py")
# SageMaker gives a stopped job 120 s; nobody waits that long on a laptop.
GRACE_SECONDS = 5.0
# What a training process may know of this machine.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "HPOQ_CLOUD_MARK", "LD_LIBRARY_PATH")
# Of a warm parent alone: its memory in large pages, of which a fork copies fewer.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


@dataclass
class Trial:
    """One training process, as whoever waits for it sees it."""

    id: str
    ended: threading.Event = field(default_factory=threading.Event)
    pid: int | None = None
    status: int = -signal.SIGKILL
    stopped: bool = False
    parent: subprocess.Popen[bytes] | None = None  # that forks it


class Processes:
    """Starts, stops and awaits training processes."""

    def __init__(self, interpreter: Path) -> None:
        self._interpreter = interpreter
        self._lock = threading.Lock()
        self._parents: dict[str, subprocess.Popen[bytes]] = {}  # by what they have imported
        self._trials: dict[str, Trial] = {}
        self._closed = False

    def warm_up(self, package: str) -> None:
        """Start the parent that imports a package now, while the first trials are prepared."""
        with self._lock:
            if not self._closed:
                self._running_parent(package)

    def start(self, program: Program, log: Path) -> Trial:
        """Start a process, as a fork of the warm parent or with an interpreter of its own.

        Args:
            program: what to run.
            log: for what it prints.
        """
        trial = Trial(id=uuid.uuid4().hex)
        threads = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        order = {
            "id": trial.id,
            "arguments": list(program.arguments),
            "environment": _passed_on() | threads | dict(program.environment),
            "folder": str(program.folder),
            "log": str(log),
            "fresh": not program.warm and not program.is_command,
            "command": program.is_command,
        }
        with self._lock:
            if self._closed:  # it counts as killed, like those that were running
                trial.ended.set()
                return trial
            package = program.warm or next(iter(self._parents), "torch")
            parent = trial.parent = self._running_parent(package)
            self._trials[trial.id] = trial
            assert parent.stdin is not None  # noqa: S101  opened as a pipe
            with contextlib.suppress(BrokenPipeError):
                parent.stdin.write(json.dumps(order).encode() + b"\n")
                parent.stdin.flush()
        return trial

    def stop(self, trial: Trial) -> None:
        """Ask it to end, and after a grace period end it."""
        trial.stopped = True
        self._signal(trial, signal.SIGTERM)
        timer = threading.Timer(GRACE_SECONDS, self._signal, (trial, signal.SIGKILL))
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """End every process; blocks until the parents are gone."""
        with self._lock:
            self._closed = True
            parents = list(self._parents.values())
            self._parents.clear()
        for trial in list(self._trials.values()):
            self._signal(trial, signal.SIGKILL)
        for parent in parents:
            parent.kill()
            parent.wait()

    def _signal(self, trial: Trial, number: signal.Signals) -> None:
        if trial.pid and not trial.ended.is_set():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(trial.pid, number)

    def _running_parent(self, package: str) -> subprocess.Popen[bytes]:
        parent = self._parents.get(package)
        if parent is None or parent.poll() is not None:
            parent = self._parents[package] = subprocess.Popen(
                [str(self._interpreter), "-u", str(WARM_PARENT), package],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=HUGE_PAGES | _passed_on(),
            )
            reader = threading.Thread(target=self._listen, args=(parent,), daemon=True)
            reader.start()
        return parent

    def _listen(self, parent: subprocess.Popen[bytes]) -> None:
        """Until the parent ends; trials it leaves behind count as killed."""
        assert parent.stdout is not None  # noqa: S101  opened as a pipe
        for line in parent.stdout:
            said = json.loads(line)
            trial = self._trials.get(said["id"])
            if trial is None:
                continue
            if "pid" in said:
                trial.pid = said["pid"]
                if trial.stopped:
                    self._signal(trial, signal.SIGTERM)
            else:
                trial.status = said["status"]
                self._trials.pop(trial.id, None)
                trial.ended.set()
        with self._lock:
            left = [trial for trial in self._trials.values() if trial.parent is parent]
            for trial in left:
                self._trials.pop(trial.id, None)
                trial.ended.set()


def _passed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
