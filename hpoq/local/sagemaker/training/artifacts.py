"""Uploading what a training job produced to S3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo_dispatcher.tuning_job.api.s3_uri import bucket_and_key
from hpoq.local.sagemaker.ports import ObjectStore
from hpoq.local.sagemaker.training.channels import ContainerError
from hpoq.local.sagemaker.training.container import Container, pack

Record = dict[str, Any]


def upload(record: Record, containers: Sequence[Container], objects: ObjectStore) -> Record:
    """Upload ``model`` and, if it has files, ``output/data``; return ModelArtifacts.

    Raises:
        ContainerError: if the bucket does not exist or denies access.
    """
    config = record["OutputDataConfig"]
    bucket, prefix = bucket_and_key(config["S3OutputPath"].rstrip("/"))
    prefix = f"{prefix}/{record['TrainingJobName']}/output".lstrip("/")
    compress = config.get("CompressionType", "GZIP") == "GZIP"
    models = [container.ml / "model" for container in containers]
    outputs = [container.ml / "output" / "data" for container in containers]
    try:
        for name, folders, always in (("model", models, True), ("output", outputs, False)):
            if not always and not any(map(_has_files, folders)):
                continue
            if compress:
                archive = containers[0].root / f"{name}.tar.gz"
                pack(folders, archive)
                objects.write(bucket, f"{prefix}/{archive.name}", archive)
                archive.unlink()
            else:
                _upload_files(folders, objects, bucket, f"{prefix}/{name}")
    except (FileNotFoundError, PermissionError) as error:
        raise ContainerError(f"ClientError: s3://{bucket}/{prefix}: {error}") from None
    return {"S3ModelArtifacts": f"s3://{bucket}/{prefix}/model" + (".tar.gz" if compress else "/")}


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())  # the script may have removed it


def _upload_files(folders: Sequence[Path], objects: ObjectStore, bucket: str, prefix: str) -> None:
    """Upload each file; where several folders have a file, take it from the first of them."""
    files = {
        path.relative_to(folder).as_posix(): path
        for folder in reversed(folders)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    for name, path in files.items():
        objects.write(bucket, f"{prefix}/{name}", path)
