"""Finding and ending the processes of one cloud, and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "HPOQ_CLOUD_MARK"
_STEP = 0.02  # seconds between two looks
_PROC = Path("/proc")


def marked(mark: str) -> list[int]:
    """Processes whose environment says that the cloud ``mark`` started them.

    Process ids are used again, after a reboot above all; a random mark is not.
    """
    wanted = f"{MARK}={mark}"
    found = _from_proc(wanted) if sys.platform == "linux" else _from_ps(wanted)
    return [pid for pid in found if pid != os.getpid()]


def end(pids: list[int]) -> None:
    """Kill them; one that is gone already is fine."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def end_marked(mark: str, patience: float = 5.0) -> int:
    """Kill all processes of a cloud until none is left; how many there were.

    A process may start another while we look, hence the repetition.
    """
    ended: set[int] = set()

    def none_left() -> bool:
        pids = marked(mark)
        ended.update(pids)
        end(pids)
        return not pids

    wait_until(none_left, patience)
    return len(ended)


def wait_until(condition: Callable[[], bool], patience: float, step: float = _STEP) -> bool:
    """Look every ``step`` seconds until ``condition`` holds; False after ``patience`` seconds."""
    give_up = time.monotonic() + patience
    while not condition():
        if time.monotonic() > give_up:
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
    except OSError:  # another user's, or gone
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
