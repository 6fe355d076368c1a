"""Runs one training job from its record to its model on S3."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.ports import Clock, Ports
from hpoq.local.sagemaker.training import artifacts, memory
from hpoq.local.sagemaker.training.channels import ContainerError, Inputs
from hpoq.local.sagemaker.training.checkpoints import Checkpoints
from hpoq.local.sagemaker.training.container import Container, containers, prepare
from hpoq.local.sagemaker.training.log_publisher import Report
from hpoq.local.sagemaker.training.processes import Processes, Trial
from hpoq.local.sagemaker.training.programs import Host, Program, is_built_in

Record = dict[str, Any]
GivesUp = Callable[[float], bool]
LOOK_EVERY = 0.25  # seconds between two looks at what a training job has said
# In the Environment of a job with EnableManagedSpotTraining: take its instance away once, then.
INTERRUPT = "HPOQ_INTERRUPT_AFTER_SECONDS"
# Why a job ended that did not end by itself.
TOO_LONG, TAKEN_AWAY, TOO_BIG = "MaxRuntimeExceeded", "Interrupted", "TooBig"


@dataclass(frozen=True)
class _Ended:
    """How one attempt ended."""

    status: str  # of the training job
    reason: str = ""
    secondary: str = ""  # where it is not the status

    @property
    def was_interrupted(self) -> bool:
        return self.secondary == TAKEN_AWAY


@dataclass(frozen=True)
class _Limits:
    """When an attempt is over, by the monotonic clock, whatever it does."""

    give_up_at: float
    interrupt_at: float
    mib: int | None


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One training job while it runs."""

    places: Sequence[Container]
    report: Report
    gives_up: GivesUp
    said: Callable[[Record], None]


class Training:
    """The life of training jobs, one call each.

    Args:
        folder: one folder per training job goes below it.
        ports: the cloud around.
        processes: where the scripts run.
        python: the interpreter that runs them.
        memory_mib: the most that a training job may take on each of its instances, if there is a
            limit.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        processes: Processes,
        *,
        python: Path,
        memory_mib: int | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._folder = folder
        self._inputs = Inputs(ports.objects, folder.parent / "inputs")
        self._ports = ports
        self._processes = processes
        self._python = python
        self._memory_mib = memory_mib
        self._clock = clock
        self._running: dict[str, list[Trial]] = {}
        self._to_stop: set[str] = set()

    def run(
        self,
        record: Record,
        gives_up: GivesUp = lambda _: False,
        said: Callable[[Record], None] = lambda _: None,
    ) -> Record:
        """Block until it has ended; the record with its end in it.

        Args:
            record: as described while in progress.
            gives_up: told each value of the objective metric; True stops the training job.
            said: told the record at each change of its secondary status that lasts.
        """
        folder = self._folder / record["TrainingJobName"]
        shutil.rmtree(folder, ignore_errors=True)
        self._processes.warm_up("xgboost" if _is_xgboost(record) else "torch")
        record = record | {"TrainingStartTime": self._clock()}
        job = _Job(
            places=containers(folder, record),
            report=Report(self._ports, record, self._clock),
            gives_up=gives_up,
            said=said,
        )
        try:
            record, ended = self._attempts(record, job)
            if ended.status in ("Completed", "Stopped"):
                record = self._turned(record, "Uploading")
                kept = artifacts.keep(record, job.places, self._ports.objects)
                record = record | {"ModelArtifacts": kept}
        except ContainerError as error:
            ended = _Ended("Failed", str(error))
        except OSError as error:
            ended = _Ended("Failed", f"InternalServerError: {error}")
        self._to_stop.discard(record["TrainingJobName"])
        for container in job.places:
            container.clear()
        return self._finished(record, job.report, ended)

    def stop(self, name: str) -> None:
        """End a running one, or one about to start; it then counts as stopped."""
        self._to_stop.add(name)
        for trial in self._running.get(name, ()):
            self._processes.stop(trial)

    def _attempts(self, record: Record, job: _Job) -> tuple[Record, _Ended]:
        """One, or one more where the instance was taken away."""
        interrupt_after = _interruption(record)
        most = record["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)
        give_up_at = time.monotonic() + most
        while True:
            record = self._turned(record, "Downloading")
            programs = self._prepared(record, job.places)
            checkpoints = Checkpoints(record, job.places[0].ml, self._inputs)
            checkpoints.restore()
            job.report.follow([container.log for container in job.places])
            record = self._turned(record, "Training")
            job.said(record)
            limits = _Limits(give_up_at, time.monotonic() + interrupt_after, self._memory_mib)
            ended = self._execute(record["TrainingJobName"], job, programs, checkpoints, limits)
            checkpoints.store(now=True)
            if not ended.was_interrupted:
                return record, ended
            interrupt_after = float("inf")
            record = self._turned(record, TAKEN_AWAY, "Training job interrupted, restarting")
            job.said(record)
            for container in job.places:
                container.clear()
                container.log.unlink(missing_ok=True)
            record = self._turned(record, "Starting")

    def _prepared(self, record: Record, places: Sequence[Container]) -> list[Program]:
        port = _free_port()
        count = len(places)
        hosts = [
            Host(ml=container.ml, number=number, count=count, port=port)
            for number, container in enumerate(places)
        ]
        return [
            prepare(container, record, host, self._inputs, self._python)
            for container, host in zip(places, hosts, strict=True)
        ]

    def _execute(
        self,
        name: str,
        job: _Job,
        programs: Sequence[Program],
        checkpoints: Checkpoints,
        limits: _Limits,
    ) -> _Ended:
        trials = [
            self._processes.start(program, container.log)
            for program, container in zip(programs, job.places, strict=True)
        ]
        self._running[name] = trials
        if name in self._to_stop:  # asked before there was anything to stop
            self.stop(name)
        try:
            cause = self._watch(trials, job, checkpoints, limits)
        finally:
            self._running.pop(name, None)
        failed = _first_failure(trials)
        if name in self._to_stop:
            return _Ended("Stopped")
        if cause == TOO_BIG:
            return _Ended("Failed", _too_big(limits.mib or 0))
        if cause:
            return _Ended("Stopped", cause, cause)
        if failed is not None:
            return _Ended("Failed", _why(trials[failed], job.places[failed]))
        return _Ended("Stopped" if any(trial.stopped for trial in trials) else "Completed")

    def _watch(
        self, trials: Sequence[Trial], job: _Job, checkpoints: Checkpoints, limits: _Limits
    ) -> str:
        """Until all have ended, passing on what they say; why we ended them, if we did."""
        cause = ""
        while running := [trial for trial in trials if not trial.ended.is_set()]:
            running[0].ended.wait(LOOK_EVERY)
            heard = [job.gives_up(value) for value in job.report.pass_on()]
            checkpoints.store()
            cause = cause or _cause(running, limits)
            # One instance that fails takes the others down.
            if cause or any(heard) or _first_failure(trials) is not None:
                for trial in running:
                    if not trial.stopped and not trial.ended.is_set():
                        self._processes.stop(trial)
        for value in job.report.pass_on(ended=True):
            job.gives_up(value)  # too late for this one, but others are compared with it
        return cause

    def _turned(self, record: Record, secondary: str, message: str = "") -> Record:
        """With another secondary status, and the time of the one before."""
        now = self._clock()
        *before, last = record["SecondaryStatusTransitions"]
        here = {"Status": secondary, "StartTime": now, "StatusMessage": message}
        return record | {
            "SecondaryStatus": secondary,
            "SecondaryStatusTransitions": [*before, last | {"EndTime": now}, here],
            "LastModifiedTime": now,
        }

    def _finished(self, record: Record, report: Report, ended: _Ended) -> Record:
        record = self._turned(record, ended.secondary or ended.status, ended.reason)
        end = record["LastModifiedTime"]
        record["SecondaryStatusTransitions"][-1]["EndTime"] = end
        seconds = max(1, round(end - record["TrainingStartTime"]))
        failed = {"FailureReason": ended.reason[:1024]} if ended.status == "Failed" else {}
        return (
            record
            | failed
            | {
                "TrainingJobStatus": ended.status,
                "TrainingEndTime": end,
                "TrainingTimeInSeconds": seconds,
                "BillableTimeInSeconds": seconds,
                "FinalMetricDataList": report.final_metrics(),
            }
        )


def _cause(running: Sequence[Trial], limits: _Limits) -> str:
    """Why a training job cannot go on; empty if it can, or has ended."""
    if all(trial.ended.is_set() for trial in running):
        return ""
    now = time.monotonic()
    if now >= limits.give_up_at:
        return TOO_LONG
    if now >= limits.interrupt_at:
        return TAKEN_AWAY
    if limits.mib is not None:
        for trial in running:
            if trial.pid and memory.of_group(trial.pid) > limits.mib:
                return TOO_BIG
    return ""


def _is_xgboost(record: Record) -> bool:
    return is_built_in(record, record["HyperParameters"])


def _interruption(record: Record) -> float:
    """Seconds after which the instance is taken away."""
    wanted = record.get("Environment", {}).get(INTERRUPT)
    if wanted is None or not record.get("EnableManagedSpotTraining"):
        return float("inf")
    try:
        return float(wanted)
    except ValueError:
        raise ContainerError(f"ClientError: {INTERRUPT} is {wanted!r}, no number") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_failure(trials: Sequence[Trial]) -> int | None:
    for number, trial in enumerate(trials):
        if trial.ended.is_set() and trial.status != 0 and not trial.stopped:
            return number
    return None


def _too_big(mib: int) -> str:
    return (
        "ClientError: Please use an instance type with more memory, or reduce the size of "
        f"training data processed on an instance. (The limit of this endpoint is {mib} MiB.)"
    )


def _why(trial: Trial, container: Container) -> str:
    """The failure reason of a script that failed."""
    said = container.failure()
    if said.startswith("ClientError:"):
        return said
    how = f"signal {-trial.status}" if trial.status < 0 else f"exit code {trial.status}"
    return f"AlgorithmError: the script ended with {how}: {said or _tail(container.log)}"


def _tail(log: Path) -> str:
    """The last lines, where a traceback says what happened."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return "it printed nothing"
    return " | ".join(lines[-3:]) or "it printed nothing"
