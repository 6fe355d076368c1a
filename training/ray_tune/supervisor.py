"""The process that starts the search again if it is killed, as the kernel does without memory."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

DRIVER = "HPOQ_SEARCH_DRIVER"  # set for the process that searches
RESTARTS = 3


def is_driver() -> bool:
    """Return whether this process searches; the first one only watches it."""
    return DRIVER in os.environ


def supervise(arguments: Sequence[str]) -> int:
    """Run this script as a process that searches, again if it is killed; return its exit status.

    The search continues after the trials that it has recorded.
    """
    for restart in range(RESTARTS + 1):
        process = subprocess.Popen(
            [sys.executable, *arguments], env=os.environ | {DRIVER: "1"}, start_new_session=True
        )
        with _Forwarded(process):
            status = process.wait()
        _kill_group(process.pid)
        if status != -signal.SIGKILL or restart == RESTARTS:
            break
        print("the search was killed and continues", file=sys.stderr, flush=True)
    return 128 - status if status < 0 else status


class _Forwarded:
    """A block in which signals that end this process go to the other one."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __enter__(self) -> None:
        numbers = (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, self._forward) for number in numbers}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


def _kill_group(group: int) -> None:
    """Kill what is left of a search, such as Ray's processes, which a new one starts itself."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
