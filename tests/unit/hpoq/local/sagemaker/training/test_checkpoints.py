"""Checkpoints that go to S3 while their script is at work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpoq.local.sagemaker.training import programs
from hpoq.local.sagemaker.training.checkpoints import Checkpoints


def test_a_folder_that_the_script_takes_away_meanwhile_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ray does, which keeps only the newest of a trial's checkpoints."""
    record = {"TrainingJobName": "job", "CheckpointConfig": {"S3Uri": "s3://bucket/kept"}}
    folder = programs.checkpoint_folder(record, tmp_path)
    for name in ("checkpoint_1", "checkpoint_2"):
        (folder / name).mkdir(parents=True)
        (folder / name / "trial.pt").touch()
    stored = []
    objects = SimpleNamespace(write=lambda _, key, __: stored.append(key))
    inputs: Any = SimpleNamespace(objects=objects)
    look = os.scandir

    def takes_away(place: Any = ".") -> Iterator[Any]:
        if Path(place).name == "checkpoint_1":
            (folder / "checkpoint_1" / "trial.pt").unlink()
            (folder / "checkpoint_1").rmdir()
        return look(place)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", takes_away)
        Checkpoints(record, tmp_path, inputs).store(now=True)

    assert stored == ["kept/checkpoint_2/trial.pt"]
