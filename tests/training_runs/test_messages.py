"""Tests of what the scripts print when they cannot start, and over what they communicate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.training_scripts import ROOT, command

SCRIPT = ROOT / "training" / "train_ray_cpu.py"


def test_processes_on_cpu_print_one_line_that_they_use_gloo(small: Path, tmp_path: Path) -> None:
    chosen = {"device": "cpu", "processes": 2, "epochs": 1, "precision": "float32"}
    ended = subprocess.run(
        command("train.py", small, tmp_path, **chosen), capture_output=True, text=True, check=True
    )
    lines = [line for line in ended.stderr.splitlines() if " over " in line]
    assert lines == ["2 processes over gloo: the processes are on CPU"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["--trials", "many"], "argument --trials: 'many' is not a whole number"),
        (["--algorithm", "grid"], "argument --algorithm: 'grid' is not one of random, optuna"),
        (["--space", "{"], "argument --space: not valid JSON"),
        (["--checkpoint-epochs", "1"], "--checkpoint-epochs on several hosts requires a --storage"),
    ],
)
def test_an_invalid_argument_is_reported_in_one_line(given: list[str], problem: str) -> None:
    environ = os.environ | {"SM_HOSTS": '["algo-1", "algo-2"]', "SM_CURRENT_HOST": "algo-1"}
    started = [sys.executable, str(SCRIPT), "--data-dir", "nowhere", *given]
    ended = subprocess.run(started, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {problem}")
    assert len(ended.stderr.splitlines()) == 1


def test_the_gpu_search_exits_with_2_and_a_message_without_a_gpu() -> None:
    environ = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    started = [sys.executable, str(SCRIPT.with_name("train_ray.py")), "--data-dir", "nowhere"]
    ended = subprocess.run(started, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "error: there is no GPU here; train_ray_cpu.py searches on CPU\n"
