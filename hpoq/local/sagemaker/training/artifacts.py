"""What a training job leaves on S3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.ports import ObjectStore
from hpoq.local.sagemaker.training.channels import ContainerError, place
from hpoq.local.sagemaker.training.container import Container, pack

Record = dict[str, Any]


def keep(record: Record, containers: Sequence[Container], objects: ObjectStore) -> Record:
    """Store ``model`` and, if there is anything, ``output/data``; ModelArtifacts.

    Raises:
        ContainerError: the bucket cannot be had.
    """
    config = record["OutputDataConfig"]
    bucket, prefix = place(config["S3OutputPath"].rstrip("/"))
    prefix = f"{prefix}/{record['TrainingJobName']}/output".lstrip("/")
    whole = config.get("CompressionType", "GZIP") == "GZIP"
    models = [container.ml / "model" for container in containers]
    outputs = [container.ml / "output" / "data" for container in containers]
    try:
        for name, folders, always in (("model", models, True), ("output", outputs, False)):
            if not always and not any(any(folder.iterdir()) for folder in folders):
                continue
            if whole:
                archive = containers[0].root / f"{name}.tar.gz"
                pack(folders, archive)
                objects.write(bucket, f"{prefix}/{archive.name}", archive)
                archive.unlink()
            else:
                _one_by_one(folders, objects, bucket, f"{prefix}/{name}")
    except (FileNotFoundError, PermissionError) as error:
        raise ContainerError(f"ClientError: s3://{bucket}/{prefix}: {error}") from None
    return {"S3ModelArtifacts": f"s3://{bucket}/{prefix}/model" + (".tar.gz" if whole else "/")}


def _one_by_one(folders: Sequence[Path], objects: ObjectStore, bucket: str, prefix: str) -> None:
    """CompressionType NONE; of files that several hold, the first counts."""
    found = {
        path.relative_to(folder).as_posix(): path
        for folder in reversed(folders)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    for name, path in found.items():
        objects.write(bucket, f"{prefix}/{name}", path)
