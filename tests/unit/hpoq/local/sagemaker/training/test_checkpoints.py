"""Uploading checkpoints while the script writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpoq.local.sagemaker.training.checkpoints import Checkpoints
from hpoq.local.sagemaker.training.programs.environment import checkpoint_folder


def test_a_folder_that_the_script_deletes_during_an_upload_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray does this: it keeps only the newest checkpoints of a trial."""
    record = {"TrainingJobName": "job", "CheckpointConfig": {"S3Uri": "s3://bucket/kept"}}
    ml = tmp_path / "opt" / "ml"
    folder = checkpoint_folder(record, ml)
    for name in ("checkpoint_1", "checkpoint_2"):
        (folder / name).mkdir(parents=True)
        (folder / name / "trial.pt").touch()
    uploaded = []
    objects = SimpleNamespace(write=lambda _, key, __: uploaded.append(key))
    inputs: Any = SimpleNamespace(objects=objects)
    look = os.scandir

    def scandir_after_deletion(place: Any = ".") -> Iterator[Any]:
        if Path(place).name == "checkpoint_1":
            (folder / "checkpoint_1" / "trial.pt").unlink()
            (folder / "checkpoint_1").rmdir()
        return look(place)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", scandir_after_deletion)
        Checkpoints(record, ml, inputs).upload(now=True)

    assert uploaded == ["kept/checkpoint_2/trial.pt"]
