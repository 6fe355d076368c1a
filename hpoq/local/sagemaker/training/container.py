"""The folders of a training job, laid out like those under /opt/ml in SageMaker's container."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.training.channels import Inputs
from hpoq.local.sagemaker.training.programs.environment import (
    HOME,
    Host,
    checkpoint_folder,
    host_name,
    input_data_config,
    resource_config,
)
from hpoq.local.sagemaker.training.programs.program import Program, program_of
from hpoq.local.sagemaker.training.programs.requirements import InstallingJob, TrainingPython

Record = Mapping[str, Any]
FOLDERS = ("code", "model", "output/data", "input/config", "input/data")


@dataclass(frozen=True)
class Container:
    """The folder of one instance of a training job."""

    root: Path  # stands for the container's /

    @cached_property
    def ml(self) -> Path:
        """The folder that stands for /opt/ml."""
        return self.root / "opt" / "ml"

    @property
    def log(self) -> Path:
        """The file that receives the training process's output and errors."""
        return self.root / "output.log"

    def failure(self) -> str:
        """Return the text that the script wrote to output/failure, or an empty string."""
        file = self.ml / "output" / "failure"
        return file.read_text(errors="replace").strip()[:1000] if file.is_file() else ""

    def delete_folders(self) -> None:
        """Delete all folders and keep the log: thousands of training jobs share the disk."""
        for folder in self.root.iterdir() if self.root.exists() else ():
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)


def containers(folder: Path, record: Record) -> list[Container]:
    """Return one container for each instance of a training job."""
    count = instances(record)
    if count == 1:
        return [Container(folder)]
    return [Container(folder / host_name(number)) for number in range(count)]


def instances(record: Record) -> int:
    """Return how many instances a training job requests."""
    resources = record["ResourceConfig"]
    groups = resources.get("InstanceGroups", ())
    return sum(group["InstanceCount"] for group in groups) or resources.get("InstanceCount") or 1


def prepare(
    container: Container,
    record: Record,
    host: Host,
    inputs: Inputs,
    python: TrainingPython,
    *,
    is_to_end: Callable[[], bool] = lambda: False,
) -> Program:
    """Fill the folders of one host and return the program that it runs.

    Args:
        container: the host's folders.
        record: the training job as described.
        host: the instance of the training job.
        inputs: the source of its channels.
        python: the interpreter of its scripts.
        is_to_end: returns whether the training job is to end before it runs.

    Raises:
        ContainerError: if the script or an input does not exist or denies access.
    """
    for name in FOLDERS:
        (container.ml / name).mkdir(parents=True, exist_ok=True)
    (container.root / HOME).mkdir(exist_ok=True)
    checkpoint_folder(record, container.ml).mkdir(parents=True, exist_ok=True)
    channels = {}
    for channel in record.get("InputDataConfig", ()):
        name = channel["ChannelName"]
        channels[name] = container.ml / "input" / "data" / name
        inputs.fill_channel(channel, channels[name], host.number, host.count)
    _write_config(container, record, host)
    isolated = bool(record.get("EnableNetworkIsolation"))
    installing = InstallingJob(log=container.log, isolated=isolated, is_to_end=is_to_end)
    program = program_of(record, host, channels, inputs, python, installing=installing)
    return replace(program, isolated=isolated)


def _write_config(container: Container, record: Record, host: Host) -> None:
    files = {
        "hyperparameters.json": record["HyperParameters"],
        "inputdataconfig.json": input_data_config(record),
        "resourceconfig.json": resource_config(record, host),
    }
    if "CheckpointConfig" in record:
        files["checkpointconfig.json"] = record["CheckpointConfig"]
    for name, content in files.items():
        (container.ml / "input" / "config" / name).write_text(json.dumps(content))


def pack(folders: Iterable[Path], archive: Path) -> None:
    """Write the files of all folders to one archive.

    Where several folders have a file, the archive has it from the first of them.
    """
    packed: set[str] = set()
    with tarfile.open(archive, "w:gz", compresslevel=1) as file:
        for folder in folders:
            for path in sorted(folder.rglob("*")) if folder.exists() else ():
                name = path.relative_to(folder).as_posix()
                if name not in packed:
                    packed.add(name)
                    file.add(path, name, recursive=False)
