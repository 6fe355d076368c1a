"""A cloud's stop waits as long as the cloud stores something."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.home import LOG_EVENTS, Home
from tests.support.running_cloud import RUNNING

# Holds the lock of a home; after SIGTERM, stores a line now and then before it ends.
SLOW_TO_END = """
import signal, sys, time
from pathlib import Path
from hpoq.local.lifecycle.home import LOG_EVENTS, Home
home = Home(Path(sys.argv[1]))
lock = home.hold()
def end(*_):
    for number in range(8):
        time.sleep(0.05)
        with (home.state / LOG_EVENTS / "stream").open("a") as file:
            file.write(f"line {number}\\n")
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
signal.pause()
"""


def test_a_stop_that_takes_long_is_awaited_while_log_lines_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clouds, "STOP_TIMEOUT", 0.2)
    home = Home(tmp_path / ".hpoq")
    home.create()
    (home.state / LOG_EVENTS).mkdir()
    command = [sys.executable, "-c", SLOW_TO_END, str(home.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

        Cloud(home, replace(RUNNING, pid=process.pid, scratch=str(tmp_path / "scratch"))).stop()

        lines = (home.state / LOG_EVENTS / "stream").read_text().splitlines()
        assert lines == [f"line {number}" for number in range(8)]
