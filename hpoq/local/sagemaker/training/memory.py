"""How much memory a training process and what it started take."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
PAGE = 4096
MIB = 1 << 20


def of_group(leader: int) -> int:
    """MiB that the processes of a group hold for themselves, libraries and files aside.

    Args:
        leader: the group's first process.
    """
    if not PROC.exists():
        return _by_ps(leader)
    return sum(map(_of, _family(leader))) // MIB


def _family(pid: int) -> list[int]:
    """A process and its descendants, whichever thread started them."""
    found, waiting = [], [pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for thread in _threads(pid):
            with suppress(OSError):  # ended meanwhile
                waiting += map(int, (thread / "children").read_text().split())
    return found


def _threads(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _of(pid: int) -> int:
    try:
        _, resident, shared, *_ = map(int, (PROC / str(pid) / "statm").read_text().split())
    except OSError:
        return 0
    return (resident - shared) * PAGE


def _by_ps(group: int) -> int:
    """Where there is no /proc."""
    command = ["ps", "-axo", "pgid=,rss="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = (line.split() for line in listed.stdout.splitlines())
    return sum(int(rss) for of, rss in rows if int(of) == group) // 1024
