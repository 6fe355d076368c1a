"""One side of ``benchmarks.against``: the local engine of the code on ``PYTHONPATH``.

Reads the name of a task per line and prints the seconds of one repetition. This file is run for
both commits. It uses ``benchmarks.engine_alone`` and ``benchmarks.tuners`` of each.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from operator import methodcaller
from pathlib import Path
from typing import Any

from benchmarks import local_engine  # of the commit, as all of these
from benchmarks.engine_alone import Memory, ask, engine, tune
from benchmarks.local_engine import CALLS, NO_OP
from benchmarks.tuners import PARALLEL, SCRIPT, TRIALS
from hpoq.local import cloud as clouds
from hpoq.local.sagemaker.ports import Access

NOTHING = 60  # training jobs
STORED = 10_000  # jobs of each kind
LOOKS = 20  # calls of each operation
IDLE_SECONDS = 10.0

if not hasattr(Memory, "credentials"):  # in a commit whose benchmark lacked the newest ports
    added: dict[str, Any] = {
        "credentials": lambda *_: {}, "object_access": lambda *_: Access.ALLOWED
    }  # fmt: skip
    for name, answer in added.items():
        setattr(Memory, name, answer)

Task = Callable[["EngineSide"], float]
"""Run once and return the seconds that it took."""


class EngineSide:
    """The engines that the tasks share; each is started by the first task that needs it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._engines: dict[str, Any] = {}
        self._numbers = itertools.count()

    def close(self) -> None:
        """Stop the engines."""
        self._stack.close()

    def tune(self, script: str, jobs: int) -> float:
        """Run a tuning job of a script."""
        return tune(self._engine(script), f"job-{next(self._numbers)}", jobs, PARALLEL)

    def _engine(self, script: str, name: str = "") -> Any:
        key = name or script
        if key not in self._engines:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self._engines[key] = self._stack.enter_context(engine(script, folder, PARALLEL))
        return self._engines[key]

    def _stored(self) -> Any:
        """Return an engine with many jobs."""
        is_new = "stored" not in self._engines
        found = self._engine(NO_OP, "stored")
        if is_new:
            tune(found, "first", PARALLEL, PARALLEL)
            store = found._engine.store
            job, training_job = store.tuning_jobs.all()[0], store.training_jobs.all()[0]
            for number in range(STORED):
                store.tuning_jobs.add(job | {"HyperParameterTuningJobName": f"job-{number:05}"})
                store.training_jobs.add(training_job | {"TrainingJobName": f"trial-{number:05}"})
        return found

    def call(self, operation: str) -> float:
        """Call an operation some times."""
        endpoint = self._stored()
        began = time.perf_counter()
        for _ in range(LOOKS):
            ask(endpoint, operation, **CALLS[operation])
        return time.perf_counter() - began


def up(_: EngineSide) -> float:
    """Time the start of an embedded cloud."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with clouds.start(Path(folder) / ".hpoq"):
            return time.perf_counter() - began


def idle(_: EngineSide) -> float:
    """Return the CPU seconds of an embedded cloud that does nothing for a while."""
    with tempfile.TemporaryDirectory() as folder, clouds.start(Path(folder) / ".hpoq") as cloud:
        local_engine._train_once(cloud)  # starts the warm parent process, which keeps running
        before = local_engine._cpu(cloud)
        time.sleep(IDLE_SECONDS)
        return local_engine._cpu(cloud) - before


TASKS: dict[str, Task] = {
    f"{NOTHING} training jobs that do nothing": lambda side: side.tune(NO_OP, NOTHING),
    f"{TRIALS} trials of 0.55 s": lambda side: side.tune(SCRIPT, TRIALS),
    **{f"{each} of {STORED:,}": methodcaller("call", each) for each in CALLS},
    "embedded cloud up": up,
    f"embedded cloud idle for {IDLE_SECONDS:g} s: CPU": idle,
}


def main() -> None:
    """Answer each line of standard input with the seconds of that task."""
    side = EngineSide()
    try:
        for line in sys.stdin:
            print(TASKS[line.strip()](side), flush=True)
    finally:
        side.close()


if __name__ == "__main__":
    main()
