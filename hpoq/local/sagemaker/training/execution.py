"""Running the processes of one attempt of a training job until all have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpoq.local.sagemaker.training.checkpoints import Checkpoints
from hpoq.local.sagemaker.training.container import Container
from hpoq.local.sagemaker.training.logs.publisher import LogPublisher
from hpoq.local.sagemaker.training.processes import memory
from hpoq.local.sagemaker.training.processes.process_pool import ProcessPool, TrainingProcess
from hpoq.local.sagemaker.training.programs.program import Program

ShouldStop = Callable[[float], bool]
"""Return whether a training job whose objective metric has this value is stopped early."""

POLL_INTERVAL = 0.25  # seconds between two looks at the logs
MOST_OF_A_LOG = 16_384  # bytes at its end, of which a failure reason has the last three lines
# Why the engine ended the processes.
TIMED_OUT, INTERRUPTED, OUT_OF_MEMORY = "MaxRuntimeExceeded", "Interrupted", "OutOfMemory"


@dataclass(frozen=True)
class Outcome:
    """The end of one attempt."""

    status: str  # of the training job
    reason: str = ""
    secondary: str = ""  # SecondaryStatus, if it differs from the status

    @property
    def was_interrupted(self) -> bool:
        """Whether the spot instance was taken away."""
        return self.secondary == INTERRUPTED


@dataclass(frozen=True)
class AttemptLimits:
    """The limits at which the engine ends an attempt; times are by the monotonic clock."""

    deadline: float
    interrupt_at: float
    memory_mib: int | None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt to run a training job."""

    programs: Sequence[Program]
    containers: Sequence[Container]
    publisher: LogPublisher
    checkpoints: Checkpoints
    limits: AttemptLimits
    should_stop: ShouldStop


class Executor:
    """The executor of attempts, which stops them on request."""

    def __init__(self, processes: ProcessPool) -> None:
        self._processes = processes
        self._running: dict[str, list[TrainingProcess]] = {}
        self._to_stop: set[str] = set()

    def run(self, name: str, attempt: Attempt) -> Outcome:
        """Start the processes of the training job ``name`` and block until all have ended."""
        processes: list[TrainingProcess] = []
        self._running[name] = processes
        try:
            for program, container in zip(attempt.programs, attempt.containers, strict=True):
                processes.append(self._processes.start(program, container.log))
            if name in self._to_stop:  # requested before the processes started
                self.stop(name)
            cause = self._watch(processes, attempt)
        except BaseException:
            for process in processes:
                self._processes.kill(process)
            raise
        finally:
            del self._running[name]
        failed = _first_failure(processes)
        if name in self._to_stop:
            return Outcome("Stopped")
        if cause == OUT_OF_MEMORY:
            return Outcome("Failed", _out_of_memory_reason(attempt.limits.memory_mib or 0))
        if cause:
            return Outcome("Stopped", cause, cause)
        if failed is not None:
            return Outcome("Failed", _failure_reason(processes[failed], attempt.containers[failed]))
        return Outcome("Stopped" if any(each.stopped for each in processes) else "Completed")

    def stop(self, name: str) -> None:
        """Stop a training job that is running or about to start."""
        self._to_stop.add(name)
        for process in list(self._running.get(name, ())):
            self._processes.stop(process)

    def is_to_stop(self, name: str) -> bool:
        """Return whether a training job was asked to stop."""
        return name in self._to_stop

    def forget(self, name: str) -> None:
        """Forget that a training job that has ended was to be stopped."""
        self._to_stop.discard(name)

    def _watch(self, processes: Sequence[TrainingProcess], attempt: Attempt) -> str:
        """Publish output until all processes have ended; return why the engine ended them."""
        cause, publisher, is_behind = "", attempt.publisher, False
        while running := [each for each in processes if not each.ended.is_set()]:
            running[0].ended.wait(0 if is_behind else POLL_INTERVAL)
            # A list, so that each value is compared even after one has decided to stop.
            early = [attempt.should_stop(value) for value in publisher.publish_new_lines()]
            is_behind = publisher.is_behind
            attempt.checkpoints.upload()
            cause = cause or _cause(running, attempt.limits)
            # When one instance fails, the others are stopped.
            if cause or any(early) or _first_failure(processes) is not None:
                for process in running:
                    if not process.stopped and not process.ended.is_set():
                        self._processes.stop(process)
        for value in publisher.publish_rest():
            attempt.should_stop(value)  # too late for this job, but others are compared with it
        return cause


def _cause(running: Sequence[TrainingProcess], limits: AttemptLimits) -> str:
    """Return why the engine must end the processes, or an empty string."""
    if all(process.ended.is_set() for process in running):
        return ""
    now = time.monotonic()
    if now >= limits.deadline:
        return TIMED_OUT
    if now >= limits.interrupt_at:
        return INTERRUPTED
    if limits.memory_mib is not None:
        for process in running:
            if process.pid and memory.used_mib(process.pid) > limits.memory_mib:
                return OUT_OF_MEMORY
    return ""


def _first_failure(processes: Sequence[TrainingProcess]) -> int | None:
    for number, process in enumerate(processes):
        if process.ended.is_set() and process.status != 0 and not process.stopped:
            return number
    return None


def _out_of_memory_reason(limit_mib: int) -> str:
    return (
        "ClientError: Please use an instance type with more memory, or reduce the size of "
        f"training data processed on an instance. (The limit of this endpoint is {limit_mib} MiB.)"
    )


def _failure_reason(process: TrainingProcess, container: Container) -> str:
    said = container.failure()
    if said.startswith("ClientError:"):
        return said
    how = f"signal {-process.status}" if process.status < 0 else f"exit code {process.status}"
    return f"AlgorithmError: the script ended with {how}: {said or _last_lines(container.log)}"


def _last_lines(log: Path) -> str:
    """Return the end of a log, where a traceback names the error."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - MOST_OF_A_LOG))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return "it printed nothing"
    return " | ".join(lines[-3:]) or "it printed nothing"
