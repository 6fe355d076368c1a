"""Finding and killing the processes of one cloud."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "HPOQ_CLOUD_MARK"
_POLL_INTERVAL = 0.02  # seconds
_PROC = Path("/proc")


def marked(mark: str) -> list[int]:
    """Return the ids of the processes whose environment contains the mark of a cloud.

    A process id may be reused, especially after a reboot; a random mark is not.
    """
    wanted = f"{MARK}={mark}"
    found = _from_proc(wanted) if sys.platform == "linux" else _from_ps(wanted)
    return [pid for pid in found if pid != os.getpid()]


def kill(pids: list[int]) -> None:
    """Kill processes; ignore those that have ended."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def kill_marked(mark: str, timeout: float = 5.0) -> int:
    """Kill all processes of a cloud and return how many there were.

    Repeat until none is left, because a process may start another one in the meantime.
    """
    killed: set[int] = set()

    def none_left() -> bool:
        pids = marked(mark)
        killed.update(pids)
        kill(pids)
        return not pids

    wait_until(none_left, timeout)
    return len(killed)


def wait_until(condition: Callable[[], bool], timeout: float, step: float = _POLL_INTERVAL) -> bool:
    """Wait until ``condition`` holds; return False after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True


def _from_proc(wanted: str) -> Iterator[int]:
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and wanted in _environment(folder):
            yield int(folder.name)


def _environment(folder: Path) -> list[str]:
    try:
        return (folder / "environ").read_text(errors="replace").split("\0")
    except OSError:  # the process has ended or belongs to another user
        return []


def _from_ps(wanted: str) -> Iterator[int]:
    listing = subprocess.run(
        ["ps", "-A", "-E", "-ww", "-o", "pid=,command="],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listing.stdout.splitlines():
        if wanted in line.split():
            yield int(line.split(maxsplit=1)[0])
