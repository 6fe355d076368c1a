"""Tests of the training scripts as processes: folders, signals and printed metrics."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from tests.support.training_scripts import CSV, METRIC, ROOT, command, prepare, run


def test_the_parts_are_stratified_and_listed_in_the_manifest(data: Path) -> None:
    manifest = json.loads((data / "manifest.json").read_text())
    parts = manifest["parts"]
    assert set(parts) == {"train", "validation", "test"}
    shares = [part["positives"] / part["rows"] for part in parts.values()]
    assert max(shares) - min(shares) < 0.002
    assert all((data / name).is_dir() for name in parts)


def test_the_defaults_reach_the_expected_auc_on_the_test_part(data: Path, tmp_path: Path) -> None:
    found = run("train_cpu.py", data, tmp_path, epochs=3)
    assert found["test:auc"] > (0.77 if CSV.exists() else 0.6)
    assert set(found) >= {"validation:auc", "test:f1", "test:loss", "train:loss"}
    assert list(tmp_path.iterdir()), "a model was saved"


@pytest.mark.parametrize(
    ("script", "chosen"),
    [
        ("train_cpu.py", {"epochs": 4}),
        ("train.py", {"epochs": 3, "device": "cpu", "processes": 2}),
    ],
)
def test_a_killed_run_leaves_its_best_model_and_resumes_to_the_metrics_of_an_uninterrupted_run(
    data: Path, tmp_path: Path, script: str, chosen: dict[str, object]
) -> None:
    whole = run(script, data, tmp_path / "whole", **chosen)
    saved = chosen | {"checkpoint_dir": tmp_path / "checkpoints"}
    arguments = command(script, data, tmp_path / "killed", **saved)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch=2"):
                script_process = psutil.Process(process.pid)
                for each in [script_process, *script_process.children(recursive=True)]:
                    each.kill()
                break
        process.wait()
    predict = [sys.executable, str(ROOT / "training" / "predict.py"), "--data", str(data / "test")]
    predict += ["--model", str(tmp_path / "killed"), "--out", str(tmp_path / "predictions.csv")]
    ended = subprocess.run(predict, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    about = torch.load(tmp_path / "killed" / "model.pt", weights_only=True)["about"]
    assert about["epoch"] in {1, 2}
    found = dict(METRIC.findall(ended.stderr))
    assert float(found["test:auc"]) == pytest.approx(whole["test:auc"], abs=0.05)
    resumed = run(script, data, tmp_path / "killed", **saved)
    for name, value in whole.items():
        assert resumed[name] == pytest.approx(value, abs=1e-6), name


def test_a_run_resumed_after_sigterm_ends_with_the_metrics_of_an_uninterrupted_run(
    data: Path, tmp_path: Path
) -> None:
    chosen: dict[str, object] = {"epochs": 2, "batch_size": 16, "hidden": 16}
    whole = run("train_cpu.py", data, tmp_path / "whole", **chosen)
    chosen["checkpoint_dir"] = tmp_path / "checkpoints"
    arguments = command("train_cpu.py", data, tmp_path / "interrupted", **chosen)
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch=1"):
                while not (tmp_path / "checkpoints" / "checkpoint.pt").exists():
                    time.sleep(0.01)
                time.sleep(0.3)  # until the second of the two epochs has started
                process.send_signal(signal.SIGTERM)
                break
        _, log = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "SIGTERM: saving a checkpoint" in log
    assert (tmp_path / "interrupted" / "model.pt").is_file(), "the best model so far is saved"
    ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
    resumed_at = re.search(r"resuming after 1 epochs and (\d+) steps", ended.stderr)
    assert resumed_at is not None, ended.stderr
    rows = json.loads((data / "manifest.json").read_text())["parts"]["train"]["rows"]
    assert int(resumed_at[1]) % (rows // 16) > 0, "within an epoch"
    resumed = {name: float(value) for name, value in METRIC.findall(ended.stdout)}
    for name in whole:
        assert resumed[name] == pytest.approx(whole[name], abs=1e-6), name


def test_two_processes_compute_the_same_loss_as_one_with_twice_the_batch_size(
    data: Path, tmp_path: Path
) -> None:
    chosen = {"epochs": 1, "dropout": 0, "precision": "float32", "device": "cpu"}
    two = run("train.py", data, tmp_path / "two", processes=2, batch_size=256, **chosen)
    one = run("train.py", data, tmp_path / "one", processes=1, batch_size=512, **chosen)
    assert two["train:loss"] == pytest.approx(one["train:loss"], abs=1e-5)


def test_train_exits_with_2_and_a_message_without_a_gpu(data: Path, tmp_path: Path) -> None:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    arguments = command("train.py", data, tmp_path)
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "there is no GPU here" in ended.stderr


def test_an_unknown_hyperparameter_is_reported_in_one_line(data: Path, tmp_path: Path) -> None:
    arguments = command("train_cpu.py", data, tmp_path, learning_speed=1)
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "learning-speed" in ended.stderr


def test_a_missing_test_part_is_reported_before_training(small: Path, tmp_path: Path) -> None:
    arguments = command("train_cpu.py", small, tmp_path, test_dir=tmp_path / "nowhere")
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert not ended.stdout
    assert ended.stderr.startswith(f"error: {tmp_path / 'nowhere'}: contains no .npz file")


def test_a_missing_column_is_reported_with_its_file(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("ID,LIMIT_BAL\n1,2\n")
    ended = prepare(tmp_path / "out", "--data", str(bad))
    assert ended.returncode != 0
    assert "bad.csv" in ended.stderr
    assert "Traceback" not in ended.stderr
