"""Running one training job, from its record to its model on S3."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.built_in_algorithms import algorithm_of
from hpoq.local.sagemaker.errors import reason_of
from hpoq.local.sagemaker.ports import Clock, Ports
from hpoq.local.sagemaker.settings import EngineSettings
from hpoq.local.sagemaker.training import artifacts
from hpoq.local.sagemaker.training.channels import ContainerError, Inputs
from hpoq.local.sagemaker.training.checkpoints import Checkpoints
from hpoq.local.sagemaker.training.container import Container, containers, prepare
from hpoq.local.sagemaker.training.execution import (
    INTERRUPTED,
    Attempt,
    AttemptLimits,
    Executor,
    Outcome,
    ShouldStop,
)
from hpoq.local.sagemaker.training.logs.pattern_search import PatternSearch
from hpoq.local.sagemaker.training.logs.publisher import LogPublisher
from hpoq.local.sagemaker.training.processes.process_pool import ProcessPool
from hpoq.local.sagemaker.training.programs.environment import Host, host_name
from hpoq.local.sagemaker.training.programs.program import Program
from hpoq.local.sagemaker.training.programs.requirements import TrainingPython
from hpoq.local.sagemaker.training.role_objects import RoleObjects
from hpoq.local.sagemaker.training.status import with_outcome, with_secondary_status
from hpoq.local.sagemaker.training.temporary_folders import TemporaryFolders

Record = dict[str, Any]
logger = logging.getLogger(__name__)
# A variable in the Environment of a job with EnableManagedSpotTraining: the number of seconds
# after which its instance is taken away, once.
INTERRUPT = "HPOQ_INTERRUPT_AFTER_SECONDS"


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One training job while it runs."""

    containers: Sequence[Container]
    temporary: TemporaryFolders
    publisher: LogPublisher
    inputs: Inputs
    credentials: Mapping[str, str]  # of the job's role, for its script
    should_stop: ShouldStop
    on_progress: Callable[[Record], None]


class TrainingRunner:
    """A runner of training jobs, one call each.

    It is long because it names each step of a training job, from its record to its model.

    Args:
        folder: parent of the training jobs' folders.
        ports: the AWS services around the endpoint.
        settings: the interpreter of the training scripts, and the limits of a training job.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        *,
        settings: EngineSettings,
        clock: Clock = time.time,
    ) -> None:
        self._folder = folder
        self._cache = folder.parent / "inputs"
        self._ports = ports
        self._processes = ProcessPool(
            settings.interpreter, grace=settings.stop_grace_seconds, sigterm=settings.sigterm
        )
        self._executor = Executor(self._processes)
        self._search = PatternSearch()
        self._python = TrainingPython(
            interpreter=settings.interpreter,
            environments=settings.environments,
            pip=settings.pip,
        )
        self._memory_mib = settings.memory_mib
        self._clock = clock

    def run(
        self,
        record: Record,
        should_stop: ShouldStop = lambda _: False,
        on_progress: Callable[[Record], None] = lambda _: None,
    ) -> Record:
        """Run a training job, block until it has ended, and return its final record.

        Raises nothing: an exception of the engine is the FailureReason of the job.

        Args:
            record: the job as described while in progress.
            should_stop: receives each value of the objective metric; True stops the job.
            on_progress: receives the record at each lasting change of its secondary status.
        """
        name = record["TrainingJobName"]
        record = record | {"TrainingStartTime": self._clock()}
        try:
            return self._run(record, should_stop, on_progress)
        except Exception as error:
            logger.exception("the training job %s failed in the engine", name)
            return with_outcome(record, Outcome("Failed", reason_of(error)), [], self._clock())
        finally:
            self._executor.forget(name)

    def _run(
        self, record: Record, should_stop: ShouldStop, on_progress: Callable[[Record], None]
    ) -> Record:
        name = record["TrainingJobName"]
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        algorithm = algorithm_of(record, record["HyperParameters"])
        self._processes.warm_up(algorithm.package if algorithm else "torch")
        own = containers(folder, record)
        run = _Run(
            containers=own,
            temporary=TemporaryFolders(folder, [host_name(number) for number in range(len(own))]),
            publisher=LogPublisher(self._ports, record, self._clock, self._search),
            inputs=Inputs(self._objects_of(record), self._cache),
            credentials=self._credentials(record),
            should_stop=should_stop,
            on_progress=on_progress,
        )
        try:
            record, outcome = self._attempts(record, run)
            if outcome.status in ("Completed", "Stopped"):
                record = with_secondary_status(record, "Uploading", self._clock())
                uploaded = artifacts.upload(record, run.containers, run.inputs.objects)
                record = record | {"ModelArtifacts": uploaded}
        except ContainerError as error:
            run.publisher.publish_rest()
            stopped = self._executor.is_to_stop(name)
            outcome = Outcome("Stopped") if stopped else Outcome("Failed", str(error))
        finally:
            run.temporary.delete()
            for container in run.containers:
                container.delete_folders()
        return with_outcome(record, outcome, run.publisher.final_metrics(), self._clock())

    def stop(self, name: str) -> None:
        """Stop a training job that is running or about to start."""
        self._executor.stop(name)

    def close(self) -> None:
        """Kill every training process and block until all have ended."""
        self._processes.close()
        self._search.close()

    def _attempts(self, record: Record, run: _Run) -> tuple[Record, Outcome]:
        """Make one attempt, and another one if the spot instance was taken away."""
        interrupt_after = _seconds_until_interruption(record)
        max_runtime = record["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)
        deadline = time.monotonic() + max_runtime
        while True:
            record = with_secondary_status(record, "Downloading", self._clock())
            run.publisher.follow([container.log for container in run.containers])
            run.temporary.create()
            programs = self._prepared(record, run, deadline)
            checkpoints = Checkpoints(record, run.containers[0].ml, run.inputs)
            checkpoints.restore()
            record = with_secondary_status(record, "Training", self._clock())
            run.on_progress(record)
            attempt = Attempt(
                programs=programs,
                containers=run.containers,
                publisher=run.publisher,
                checkpoints=checkpoints,
                limits=AttemptLimits(
                    deadline, time.monotonic() + interrupt_after, self._memory_mib
                ),
                should_stop=run.should_stop,
            )
            outcome = self._executor.run(record["TrainingJobName"], attempt)
            checkpoints.upload(now=True)
            if not outcome.was_interrupted:
                return record, outcome
            interrupt_after = float("inf")
            message = "Training job interrupted, restarting"
            record = with_secondary_status(record, INTERRUPTED, self._clock(), message)
            run.on_progress(record)
            for container in run.containers:
                container.delete_folders()
                container.log.unlink(missing_ok=True)
            record = with_secondary_status(record, "Starting", self._clock())

    def _objects_of(self, record: Record) -> RoleObjects:
        ports = self._ports
        return RoleObjects(store=ports.objects, roles=ports.roles, role=record["RoleArn"])

    def _credentials(self, record: Record) -> Mapping[str, str]:
        """Return the variables with the role's credentials for the script.

        A container with network isolation has none: "Run Training and Inference Containers in
        Internet-Free Mode" in the developer guide. On AWS, clients find them by a variable, too.
        """
        if record.get("EnableNetworkIsolation"):
            return {}
        return self._ports.roles.credentials(record["RoleArn"])

    def _prepared(self, record: Record, run: _Run, deadline: float) -> list[Program]:
        def is_to_end() -> bool:
            stopped = self._executor.is_to_stop(record["TrainingJobName"])
            return stopped or time.monotonic() >= deadline

        port = _free_port()
        count = len(run.containers)
        hosts = [
            Host(ml=container.ml, number=number, count=count, port=port)
            for number, container in enumerate(run.containers)
        ]
        programs = [
            prepare(container, record, host, run.inputs, self._python, is_to_end=is_to_end)
            for container, host in zip(run.containers, hosts, strict=True)
        ]
        return [
            replace(
                program,
                environment={**run.credentials, **program.environment},
                root=container.root,
                temporary=run.temporary.paths,
            )
            for program, container in zip(programs, run.containers, strict=True)
        ]


def _seconds_until_interruption(record: Record) -> float:
    """Return the seconds after which the spot instance is taken away; infinity for never."""
    given = record.get("Environment", {}).get(INTERRUPT)
    if given is None or not record.get("EnableManagedSpotTraining"):
        return float("inf")
    try:
        return float(given)
    except ValueError:
        raise ContainerError(f"ClientError: {INTERRUPT} is not a number: {given!r}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
