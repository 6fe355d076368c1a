"""The GPUs of training jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpoq.local.sagemaker.training.programs import gpus


def test_a_gpu_instance_type_gets_the_gpus_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    assert [gpus.count_for(f"ml.{name}") for name in ("g5.xlarge", "p4d.24xlarge", "m5.large")] == [
        2,
        2,
        0,
    ]
    monkeypatch.setattr(gpus, "DEVICES", tmp_path / "nothing")
    assert gpus.count_for("ml.g5.xlarge") == 0
