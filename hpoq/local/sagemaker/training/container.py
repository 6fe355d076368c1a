"""A training job's folder, laid out as SageMaker lays out its container below /opt/ml."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.training.channels import Inputs
from hpoq.local.sagemaker.training.programs import (
    Host,
    Program,
    checkpoint_folder,
    host_name,
    input_data_config,
    program_of,
    resource_config,
)

Record = Mapping[str, Any]
FOLDERS = ("code", "model", "output/data", "input/config", "input/data")


@dataclass(frozen=True)
class Container:
    """Places of one instance of a training job."""

    root: Path  # stands for the container's /

    @property
    def ml(self) -> Path:
        """/opt/ml."""
        return self.root / "opt" / "ml"

    @property
    def log(self) -> Path:
        """Standard output and error of the training process."""
        return self.root / "output.log"

    def failure(self) -> str:
        """What the script left in output/failure; empty if nothing."""
        file = self.ml / "output" / "failure"
        return file.read_text(errors="replace").strip()[:1000] if file.exists() else ""

    def clear(self) -> None:
        """Drop the folder's bulk: thousands of trials share this disk."""
        for folder in self.root.iterdir() if self.root.exists() else ():
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)


def containers(folder: Path, record: Record) -> list[Container]:
    """One for each instance."""
    count = instances(record)
    if count == 1:
        return [Container(folder)]
    return [Container(folder / host_name(number)) for number in range(count)]


def instances(record: Record) -> int:
    """How many instances a training job asks for."""
    resources = record["ResourceConfig"]
    groups = resources.get("InstanceGroups", ())
    return sum(group["InstanceCount"] for group in groups) or resources.get("InstanceCount") or 1


def prepare(
    container: Container, record: Record, host: Host, inputs: Inputs, python: Path
) -> Program:
    """Fill the folders; what is to be run.

    Args:
        container: where.
        record: the training job as described.
        host: which of its instances.
        inputs: where its channels come from.
        python: runs scripts.

    Raises:
        ContainerError: the script or an input cannot be had.
    """
    for name in FOLDERS:
        (container.ml / name).mkdir(parents=True, exist_ok=True)
    checkpoint_folder(record, container.ml).mkdir(parents=True, exist_ok=True)
    channels = {}
    for channel in record.get("InputDataConfig", ()):
        name = channel["ChannelName"]
        channels[name] = container.ml / "input" / "data" / name
        inputs.lay_out(channel, channels[name], host.number, host.count)
    _write_config(container, record, host)
    return program_of(record, host, channels, inputs, python)


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
    """What lies in the folders as one archive; of files that several hold, the first counts."""
    packed: set[str] = set()
    with tarfile.open(archive, "w:gz", compresslevel=1) as file:
        for folder in folders:
            for path in sorted(folder.rglob("*")) if folder.exists() else ():
                name = path.relative_to(folder).as_posix()
                if name not in packed:
                    packed.add(name)
                    file.add(path, name, recursive=False)
