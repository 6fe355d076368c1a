"""What a training job runs: a script, a command of its own, or the built-in algorithm."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo_dispatcher.contract.aws_limits import CHANNELS_FOLDER
from hpoq.local.sagemaker.built_in_algorithms import XGBOOST, algorithm_of
from hpoq.local.sagemaker.training.channels import ContainerError, Inputs
from hpoq.local.sagemaker.training.programs import gpus
from hpoq.local.sagemaker.training.programs.environment import (
    RESERVED,
    Host,
    as_argument,
    compact_json,
    environment,
    needs_new_interpreter,
    toolkit_variables,
)
from hpoq.local.sagemaker.training.programs.requirements import (
    FILE,
    InstallingJob,
    TrainingPython,
)
from hpoq.unpacking import NotUnpacked, unpack

Record = Mapping[str, Any]
# Hyperparameters that turn on a launcher which this endpoint does not have.
UNSUPPORTED_LAUNCHERS = (
    "sagemaker_mpi_enabled", "sagemaker_pytorch_ddp_enabled",
    "sagemaker_distributed_dataparallel_enabled", "sagemaker_parameter_server_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
)  # fmt: skip
TORCHRUN = "sagemaker_torch_distributed_enabled"
NO_LAUNCHER = (
    f"ClientError: this endpoint has no launcher for {{}}; use {TORCHRUN}, which runs torchrun"
)
NEW_INTERPRETER = (
    "hpoq: {} is read when Python or a library starts, so this job runs in a new interpreter"
)
XGBOOST_PROGRAM = Path(__file__).with_name("xgboost_algorithm.py")
AMAZON_PROGRAM = Path(__file__).with_name("amazon_algorithms")
# Channel of the SageMaker SDK's own scripts, which contain the paths of a container's folders.
DRIVERS = "sm_drivers"
MPI_DRIVER = re.compile(r"\bmpi_driver\.py\b")
# The command of these scripts that installs the requirements, in the folder of the channel "code".
DRIVER_INSTALLS = re.compile(r"(?:install_requirements\.py|pip install -r) ([^\s-]\S*)")


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program to start on one host.

    Args:
        arguments: a Python script and its arguments, or a whole command.
        environment: variables besides those that every training process inherits.
        folder: the working directory.
        warm: the package that the warm parent has imported; empty to start a new interpreter.
        is_command: whether the arguments are a whole command.
        isolated: whether it runs without a network.
        root: the folder that stands for the container's /; it stays visible.
        temporary: the folder that takes the place of /tmp, and those of others.
        note: first line of its log.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    warm: str
    is_command: bool = False
    isolated: bool = False
    root: Path | None = None
    temporary: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def program_of(
    record: Record,
    host: Host,
    channels: Mapping[str, Path],
    inputs: Inputs,
    python: TrainingPython,
    *,
    installing: InstallingJob,
) -> Program:
    """Return the program of a training job on a host whose channels are filled.

    Installs the packages that its script requires.

    Raises:
        ContainerError: if the training job names nothing that this endpoint can run.
    """
    hyperparameters = record["HyperParameters"]
    decoded = {name: _decoded(text) for name, text in hyperparameters.items()}
    arguments = {k: v for k, v in decoded.items() if not k.startswith(RESERVED)}
    variables = environment(record, host, arguments, channels)
    # CUDA does not work in a forked process.
    read_at_start = needs_new_interpreter(record)
    needs_new = gpus.count_in(variables) > 0 or bool(read_at_start)
    note = NEW_INTERPRETER.format(read_at_start) if read_at_start else ""
    if record["AlgorithmSpecification"].get("ContainerEntrypoint"):
        chosen = _python_of_drivers(channels, python, installing)
        return _entrypoint(record, host, variables, channels, chosen)
    algorithm = algorithm_of(record, hyperparameters)
    if algorithm:
        amazons = [str(AMAZON_PROGRAM), algorithm.name]
        if algorithm is not XGBOOST and host.count > 1:
            raise ContainerError(
                f"ClientError: this endpoint runs {algorithm.name} on one instance"
            )
        return Program(
            arguments=[str(XGBOOST_PROGRAM)] if algorithm is XGBOOST else amazons,
            environment=variables,
            folder=host.ml / "code",
            warm="" if needs_new else algorithm.package,
            note=note,
        )
    script, source = decoded.get("sagemaker_program"), decoded.get("sagemaker_submit_directory")
    if not script or not source:
        raise ContainerError(
            "ClientError: this endpoint does not pull images; set sagemaker_program and "
            "sagemaker_submit_directory, or a ContainerEntrypoint, or use the image of XGBoost, "
            "the linear learner or k-means"
        )
    code = host.ml / "code"
    _unpack(_archive(str(source), host, inputs), code)
    if not (code / str(script)).is_file():
        raise ContainerError(f"ClientError: no {script} in {source}")
    _refuse_launchers(decoded)
    flags = [part for k, v in sorted(arguments.items()) for part in (_flag(k), as_argument(v))]
    script_variables = {
        "SM_MODULE_DIR": str(source),
        "SM_MODULE_NAME": str(script).removesuffix(".py"),
        "SM_USER_ENTRY_POINT": str(script),
        "SM_USER_ARGS": compact_json(flags),
        "PYTHONPATH": str(code),
    }
    script_variables |= toolkit_variables(
        record, host, decoded, channels, script_variables | variables
    )
    if not str(script).endswith(".py"):
        (code / str(script)).chmod(0o755)
        return Program(
            arguments=["/bin/sh", "-c", f'./{script} "$@"', str(script), *flags],
            environment={**script_variables, "PATH": _path_with(python.interpreter), **variables},
            folder=code,
            warm="",
            is_command=True,
        )
    launched = decoded.get(TORCHRUN) is True
    if launched or (code / FILE).is_file():
        own = python.interpreter
        if (code / FILE).is_file():
            own = python.with_requirements(code / FILE, installing)
        launcher = _torchrun(host, variables) if launched else []
        return Program(
            arguments=[str(own), *launcher, str(code / str(script)), *flags],
            environment={**script_variables, "PATH": _path_with(own), **variables},
            folder=code,
            warm="",
            is_command=True,
        )
    return Program(
        arguments=[str(code / str(script)), *flags],
        environment=script_variables | variables,
        folder=code,
        warm="" if needs_new else "torch",
        note=note,
    )


def _refuse_launchers(decoded: Mapping[str, Any]) -> None:
    for name in UNSUPPORTED_LAUNCHERS:
        if decoded.get(name) is True:
            raise ContainerError(NO_LAUNCHER.format(name))


def _torchrun(host: Host, variables: Mapping[str, str]) -> list[str]:
    """Return torchrun as the training toolkit runs it: one process for each GPU, or one."""
    nodes = ["--nnodes", str(host.count), "--nproc_per_node", str(gpus.count_in(variables) or 1)]
    if host.count > 1:
        nodes += ["--master_addr", "127.0.0.1", "--master_port", str(host.port)]
        nodes += ["--node_rank", str(host.number)]
    return ["-m", "torch.distributed.run", *nodes]


def _python_of_drivers(
    channels: Mapping[str, Path], python: TrainingPython, installing: InstallingJob
) -> Path:
    """Return the Python in which the SDK's own scripts find what they would install."""
    drivers, code = channels.get(DRIVERS), channels.get("code")
    script = drivers / "sm_train.sh" if drivers else None
    if script is None or code is None or not script.is_file():
        return python.interpreter
    text = script.read_text()
    if MPI_DRIVER.search(text):
        raise ContainerError(NO_LAUNCHER.format("MPI"))
    found = DRIVER_INSTALLS.search(text)
    if found is None or not (code / found[1]).is_file():
        return python.interpreter
    return python.with_requirements(code / found[1], installing)


def _entrypoint(
    record: Record,
    host: Host,
    variables: Mapping[str, str],
    channels: Mapping[str, Path],
    python: Path,
) -> Program:
    """Return the job's ContainerEntrypoint, such as the SDK's ModelTrainer sends."""
    algorithm = record["AlgorithmSpecification"]
    words = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", ())]
    if DRIVERS in channels:
        _adapt_drivers(channels[DRIVERS], host)
    return Program(
        arguments=[word.replace("/opt/ml", str(host.ml)) for word in words],
        environment={"PATH": _path_with(python), **variables},
        folder=host.ml / "code",
        warm="",
        is_command=True,
    )


def _adapt_drivers(drivers: Path, host: Host) -> None:
    """Replace the container's paths, host name and port in the SDK's own scripts."""
    for file in drivers.rglob("*"):
        if file.suffix in (".py", ".sh"):
            text = file.read_text().replace("/opt/ml", str(host.ml))
            text = text.replace('SM_MASTER_ADDR = "algo-1"', 'SM_MASTER_ADDR = "127.0.0.1"')
            text = text.replace("SM_MASTER_PORT = 7777", f"SM_MASTER_PORT = {host.port}")
            file.write_text(text)


def _path_with(python: Path) -> str:
    return f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _archive(source: str, host: Host, inputs: Inputs) -> Path:
    """Return the source archive, which is in a channel if the job has network isolation."""
    if not source.startswith(f"{CHANNELS_FOLDER}/"):
        return inputs.cached(source, "source")
    file = host.ml / "input" / "data" / source.removeprefix(f"{CHANNELS_FOLDER}/")
    if not file.is_file():
        raise ContainerError(f"ClientError: no source at {source}")
    return file


def _unpack(archive: Path, folder: Path) -> None:
    if any(folder.iterdir()):
        shutil.rmtree(folder)
        folder.mkdir()
    try:
        unpack(archive, folder)
    except NotUnpacked as error:
        raise ContainerError(f"ClientError: the source cannot be unpacked: {error}") from None


def _decoded(text: str) -> Any:
    """Parse a hyperparameter as the training toolkit does: as JSON if it is valid, else as text.

    SDK v2 writes strings as JSON, SDK v3 as plain text.
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


def _flag(name: str) -> str:
    return f"--{name}" if len(name) > 1 else f"-{name}"
