"""The memory that a training process and its descendants use."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
PAGE = 4096  # bytes
MIB = 1 << 20


def used_mib(leader: int) -> int:
    """Return the private memory of a process group in MiB, without shared libraries and files.

    Args:
        leader: process id of the group's first process.
    """
    if not PROC.exists():
        return _used_mib_by_ps(leader)
    return sum(map(_private_bytes, _with_descendants(leader))) // MIB


def _with_descendants(pid: int) -> list[int]:
    """Return a process and its descendants, including those started by other threads."""
    found, waiting = [], [pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for thread in _threads(pid):
            with suppress(OSError):  # the thread has ended
                waiting += map(int, (thread / "children").read_text().split())
    return found


def _threads(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _private_bytes(pid: int) -> int:
    try:
        _, resident, shared, *_ = map(int, (PROC / str(pid) / "statm").read_text().split())
    except OSError:
        return 0
    return (resident - shared) * PAGE


def _used_mib_by_ps(group: int) -> int:
    """Return the memory of a group on systems without /proc."""
    command = ["ps", "-axo", "pgid=,rss="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = (line.split() for line in listed.stdout.splitlines())
    return sum(int(rss) for pgid, rss in rows if int(pgid) == group) // 1024
