"""Processes of dispatchers for soak tests, which are restarted when they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.deployed_stack import ROOT, Deployed
from tests.support.faulty_dispatcher import KILLED


@dataclass
class RestartedDispatcher:
    """A dispatcher process that is restarted whenever it ends, and statistics of its cycles."""

    environment: dict[str, str]
    folder: Path
    templates: Path
    seeds: Iterator[int]
    share: float  # of all calls that fail
    pause: float = 0.2  # seconds between two cycles
    cycles: int = 0
    kills: int = 0  # by itself, during a call
    failures: int = 0
    said: Counter[str] = field(default_factory=Counter)
    pid: int | None = None  # while a process runs
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Run and restart the process until ``stop`` is called."""
        while not self._over.is_set():
            self._one_life(str(next(self.seeds)))

    def stop(self) -> None:
        self._over.set()

    def _one_life(self, seed: str) -> None:
        module = "tests.support.faulty_dispatcher"
        command = [
            sys.executable,
            "-m",
            module,
            str(self.folder),
            str(self.templates),
            seed,
            str(self.share),
            str(self.pause),
        ]
        with subprocess.Popen(
            command, cwd=ROOT, env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            self.pid = process.pid
            failed = 0
            for line in process.stdout:
                outcome = json.loads(line)
                failed = outcome["failures"]
                self.cycles += 1
                self.said[outcome.get("error", "skipped" if outcome.get("skipped") else "ok")] += 1
                if self._over.is_set() and process.stdin and not process.stdin.closed:
                    process.stdin.close()
            self.failures += failed
            status = process.wait()
            self.pid = None
        self.kills += status == KILLED
        assert status in (0, KILLED, -signal.SIGKILL), f"a dispatcher ended with {status}"


def environment(deployed: Deployed) -> dict[str, str]:
    """Return the variables of a process that runs the cycles of the deployed function."""
    function = deployed.outputs["DispatcherFunctionName"]
    configuration = deployed.client("lambda").get_function_configuration(FunctionName=function)
    paths = [str(ROOT), str(ROOT / "lambdas")]
    return {
        **deployed.cloud.environ(),
        **configuration["Environment"]["Variables"],
        "PYTHONPATH": os.pathsep.join(paths),
    }


@contextmanager
def running(*each: Any) -> Iterator[None]:
    """Run things in threads, and stop them in the end, the last one first."""
    threads = [threading.Thread(target=one.run) for one in each]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for one, thread in [*zip(each, threads, strict=True)][::-1]:
            one.stop()
            thread.join()
