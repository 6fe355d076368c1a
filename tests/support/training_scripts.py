"""Run the training scripts as a shell or SageMaker runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CSV = ROOT.parent / "shared" / "data" / "UCI_Credit_Card.csv"
METRIC = re.compile(r"([a-z]+:[a-z0-9]+)=([0-9.eE+-]+)")


def prepare(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run prepare_data.py."""
    command = [sys.executable, "-m", "training.prepare_data", "--out", str(out), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def command(script: str, data: Path, model: Path, **options: object) -> list[str]:
    """Return the command line of a training script; `batch_size=8` becomes --batch-size 8."""
    flags = [part for k, v in options.items() for part in (f"--{k.replace('_', '-')}", str(v))]
    folders = ["--data-dir", str(data), "--model-dir", str(model)]
    return [sys.executable, str(ROOT / "training" / script), *folders, *flags]


def run(script: str, data: Path, model: Path, **options: object) -> dict[str, float]:
    """Run a training script to its end and return the last value of each metric."""
    ended = subprocess.run(
        command(script, data, model, **options), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return {name: float(value) for name, value in METRIC.findall(ended.stdout)}
