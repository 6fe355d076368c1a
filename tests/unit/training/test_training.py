"""The training scripts as SageMaker runs them: processes, folders, printed metrics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.unit.training.scripts import CSV, command, prepare, run


def test_the_parts_are_stratified_disjoint_and_described(data: Path) -> None:
    manifest = json.loads((data / "manifest.json").read_text())
    parts = manifest["parts"]
    assert set(parts) == {"train", "validation", "test"}
    shares = [part["positives"] / part["rows"] for part in parts.values()]
    assert max(shares) - min(shares) < 0.002
    assert all((data / name).is_dir() for name in parts)


def test_the_defaults_reach_a_good_auc_on_the_test_part(data: Path, tmp_path: Path) -> None:
    found = run("train_cpu.py", data, tmp_path, epochs=3)
    assert found["test:auc"] > (0.77 if CSV.exists() else 0.6)
    assert set(found) >= {"validation:auc", "test:f1", "test:loss", "train:loss"}
    assert list(tmp_path.iterdir()), "a model was saved"


def test_a_run_that_was_killed_ends_where_an_undisturbed_one_does(
    data: Path, tmp_path: Path
) -> None:
    whole = run("train_cpu.py", data, tmp_path / "whole", epochs=6)
    saved = {"checkpoint_dir": tmp_path / "checkpoints", "epochs": 6}
    arguments = command("train_cpu.py", data, tmp_path / "killed", **saved)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch=2"):
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    resumed = run("train_cpu.py", data, tmp_path / "killed", **saved)
    for name, value in whole.items():
        assert resumed[name] == pytest.approx(value, abs=1e-6), name


def test_two_processes_compute_what_one_does_with_the_doubled_batch(
    data: Path, tmp_path: Path
) -> None:
    chosen = {"epochs": 1, "dropout": 0, "precision": "float32", "device": "cpu"}
    two = run("train.py", data, tmp_path / "two", processes=2, batch_size=256, **chosen)
    one = run("train.py", data, tmp_path / "one", processes=1, batch_size=512, **chosen)
    assert two["train:loss"] == pytest.approx(one["train:loss"], abs=1e-5)


def test_without_a_gpu_train_says_so_and_exits_2(data: Path, tmp_path: Path) -> None:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    arguments = command("train.py", data, tmp_path)
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "there is no GPU here" in ended.stderr


def test_an_unknown_hyperparameter_is_one_line(data: Path, tmp_path: Path) -> None:
    arguments = command("train_cpu.py", data, tmp_path, learning_speed=1)
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "learning-speed" in ended.stderr


def test_a_file_without_a_column_is_one_line_that_names_it(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("ID,LIMIT_BAL\n1,2\n")
    ended = prepare(tmp_path / "out", "--data", str(bad))
    assert ended.returncode != 0
    assert "bad.csv" in ended.stderr
    assert "Traceback" not in ended.stderr
