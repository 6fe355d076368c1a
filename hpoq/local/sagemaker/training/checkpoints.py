"""The checkpoints of a training job, which are copied to S3 while it writes them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo_dispatcher.tuning_job.api.s3_uri import bucket_and_key
from hpoq.local.sagemaker.training.channels import ContainerError, Inputs
from hpoq.local.sagemaker.training.programs.environment import checkpoint_folder

Record = Mapping[str, Any]
UPLOAD_INTERVAL = 1.0  # seconds
UPLOADING = ".sagemaker-uploading"  # SageMaker's mark of unfinished files; scripts write it, too


class Checkpoints:
    """The checkpoint folder of one training job and its copy on S3.

    Does nothing for a job without CheckpointConfig. In a tuning job, each training job has a
    folder of its own under ``S3Uri``.
    """

    def __init__(self, record: Record, ml: Path, inputs: Inputs) -> None:
        self._uri = str(record.get("CheckpointConfig", {}).get("S3Uri", "")).rstrip("/")
        if self._uri and record.get("_tuning_job"):
            self._uri = f"{self._uri}/{record['TrainingJobName']}"
        self._folder = checkpoint_folder(record, ml)
        self._inputs = inputs
        self._uploaded: dict[Path, tuple[int, int]] = {}
        self._next_upload = 0.0

    def restore(self) -> None:
        """Download the checkpoints of an earlier attempt.

        Raises:
            ContainerError: if the bucket does not exist or denies access.
        """
        if not self._uri:
            return
        bucket, prefix = bucket_and_key(self._uri + "/")
        for each in self._inputs.listed(bucket, prefix):
            name = each.key[len(prefix) :]
            if not name or name.endswith("/"):
                continue
            file = self._folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            # A copy, not a link into the cache: scripts append to their checkpoints.
            try:
                self._inputs.objects.read(bucket, each.key, file)
            except PermissionError as error:
                raise ContainerError(f"ClientError: {self._uri}: {error}") from None
            self._uploaded[file] = _version(file)

    def upload(self, *, now: bool = False) -> None:
        """Upload new and changed files, unless the last upload was less than a second ago.

        Args:
            now: upload even if the last upload was less than a second ago.

        Raises:
            ContainerError: if the bucket does not exist or denies access.
        """
        if not self._uri or (not now and time.monotonic() < self._next_upload):
            return
        self._next_upload = time.monotonic() + UPLOAD_INTERVAL
        bucket, prefix = bucket_and_key(self._uri + "/")
        for file in _files(self._folder):
            if not file.is_file() or UPLOADING in file.name:
                continue
            try:
                version = _version(file)
                if self._uploaded.get(file) == version:
                    continue
                key = prefix + file.relative_to(self._folder).as_posix()
                self._inputs.objects.write(bucket, key, file)
                self._uploaded[file] = version
            except FileNotFoundError as error:
                if file.exists():  # so the bucket is missing
                    raise ContainerError(f"ClientError: {self._uri}: {error}") from None
            except PermissionError as error:
                raise ContainerError(f"ClientError: {self._uri}: {error}") from None


def _files(folder: Path) -> list[Path]:
    """Return all files in order.

    Unlike ``Path.rglob``, ``os.walk`` skips folders that the script deletes in the meantime.
    """
    return sorted(Path(path) / name for path, _, names in os.walk(folder) for name in names)


def _version(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size
