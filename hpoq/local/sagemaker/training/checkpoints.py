"""A training job's checkpoints, kept on S3 while it writes them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.training.channels import ContainerError, Inputs, place
from hpoq.local.sagemaker.training.programs import checkpoint_folder

Record = Mapping[str, Any]
EVERY = 1.0  # seconds between two looks
UPLOADING = ".sagemaker-uploading"  # SageMaker's own marks, which scripts know to pass over


class Checkpoints:
    """What lies in the checkpoint folder of one job, and on S3; nothing where none is asked for.

    In a tuning job every training job has its own folder below ``S3Uri``.
    """

    def __init__(self, record: Record, ml: Path, inputs: Inputs) -> None:
        self._uri = str(record.get("CheckpointConfig", {}).get("S3Uri", "")).rstrip("/")
        if self._uri and record.get("_tuning_job"):
            self._uri = f"{self._uri}/{record['TrainingJobName']}"
        self._folder = checkpoint_folder(record, ml)
        self._inputs = inputs
        self._stored: dict[Path, tuple[int, int]] = {}
        self._next = 0.0

    def restore(self) -> None:
        """Bring back what an earlier attempt left.

        Raises:
            ContainerError: the bucket cannot be had.
        """
        if not self._uri:
            return
        bucket, prefix = place(self._uri + "/")
        for each in self._inputs.listed(bucket, prefix):
            name = each.key[len(prefix) :]
            if not name or name.endswith("/"):
                continue
            file = self._folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            self._inputs.objects.read(bucket, each.key, file)  # its own: scripts append to it
            self._stored[file] = _version(file)

    def store(self, *, now: bool = False) -> None:
        """Send what is new; now, or once in a while.

        Raises:
            ContainerError: the bucket cannot be had.
        """
        if not self._uri or (not now and time.monotonic() < self._next):
            return
        self._next = time.monotonic() + EVERY
        bucket, prefix = place(self._uri + "/")
        for file in _files(self._folder):
            if not file.is_file() or UPLOADING in file.name:
                continue
            try:
                version = _version(file)
                if self._stored.get(file) == version:
                    continue
                key = prefix + file.relative_to(self._folder).as_posix()
                self._inputs.objects.write(bucket, key, file)
                self._stored[file] = version
            except FileNotFoundError as error:
                if file.exists():  # so it is the bucket that does not
                    raise ContainerError(f"ClientError: {self._uri}: {error}") from None
            except PermissionError as error:
                raise ContainerError(f"ClientError: {self._uri}: {error}") from None


def _files(folder: Path) -> list[Path]:
    """In order; unlike ``rglob`` it passes over folders that the script takes away meanwhile."""
    return sorted(Path(place) / name for place, _, names in os.walk(folder) for name in names)


def _version(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size
