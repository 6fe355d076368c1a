"""Tests of the scripts under sagemaker-training, the entry point of SageMaker's containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.training_scripts import METRIC, ROOT

TRAIN = Path(sys.executable).with_name("train")  # the container's command

pytestmark = pytest.mark.skipif(not TRAIN.exists(), reason="sagemaker-training is not installed")


@pytest.fixture
def ml(data: Path, tmp_path: Path) -> Path:
    """Return a folder with the layout of SageMaker's /opt/ml."""
    for folder in ("input/config", "model", "output", "checkpoints"):
        (tmp_path / folder).mkdir(parents=True)
    channels = ("train", "validation", "test")
    for channel in channels:
        shutil.copytree(data / channel, tmp_path / "input" / "data" / channel)
    mode = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
    config = {
        "inputdataconfig": dict.fromkeys(channels, mode | {"RecordWrapperType": "None"}),
        "resourceconfig": {
            "current_host": "algo-1",
            "hosts": ["algo-1"],
            "network_interface_name": "lo",
            "current_instance_type": "ml.m5.large",
        },
    }
    for name, content in config.items():
        (tmp_path / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def train(ml: Path, script: str, **hyperparameters: Any) -> subprocess.CompletedProcess[str]:
    """Run the container's command; SageMaker passes every hyperparameter as a string."""
    values = {name.replace("_", "-"): str(value) for name, value in hyperparameters.items()}
    values |= {
        "sagemaker_program": script,
        "sagemaker_submit_directory": str(ROOT / "training"),
        "sagemaker_region": "us-east-1",
        "_tuning_objective_metric": "validation:auc",
    }
    (ml / "input" / "config" / "hyperparameters.json").write_text(json.dumps(values))
    # Outside a container, algo-1 has no address, and the toolkit would wait for one.
    environ = os.environ | {"SAGEMAKER_BASE_DIR": str(ml), "SM_STUDIO_LOCAL_MODE": "true"}
    return subprocess.run([TRAIN], env=environ, capture_output=True, text=True, check=False)


def test_train_cpu_writes_its_model_and_prints_its_metrics(ml: Path) -> None:
    ended = train(ml, "train_cpu.py", epochs=2, batch_size=1024, hidden="32-16")
    assert ended.returncode == 0, ended.stderr
    found = {name: float(value) for name, value in METRIC.findall(ended.stdout)}
    assert found["test:auc"] > 0.6
    assert (ml / "model" / "model.pt").is_file()
    assert (ml / "checkpoints" / "checkpoint.pt").is_file()
    assert not (ml / "output" / "failure").exists()


@pytest.mark.slow
def test_train_ray_cpu_accepts_its_ranges_as_a_hyperparameter(ml: Path) -> None:
    ranges = {"lr": {"type": "continuous", "min": 0.001, "max": 0.01, "scaling": "Logarithmic"}}
    chosen = {"trials": 3, "epochs": 2, "hidden": "16", "batch_size": 2048, "cpus": 2}
    ended = train(ml, "train_ray_cpu.py", **chosen, space=json.dumps(json.dumps(ranges)))
    assert ended.returncode == 0, ended.stderr
    assert "test:auc" in dict(METRIC.findall(ended.stdout))
    names = {path.name for path in (ml / "model").iterdir()}
    assert names == {"model.pt", "results.csv", "results.parquet"}
    header = (ml / "model" / "results.csv").read_text().splitlines()[0]
    assert '"config/lr"' in header


@pytest.mark.parametrize("script", ["train_cpu.py", "train_ray_cpu.py"])
@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"lr": "fast"}, "argument --lr: 'fast' is not a number"),
        ({"epochs": "2.5"}, "argument --epochs: '2.5' is not a whole number"),
        ({"dropout": "nan"}, "argument --dropout: nan is out of range"),
        ({"hiden": "64"}, "unrecognized arguments: --hiden"),
    ],
)
def test_an_invalid_hyperparameter_is_reported_in_one_line(
    ml: Path, script: str, chosen: dict[str, str], message: str
) -> None:
    ended = train(ml, script, **chosen)
    assert ended.returncode != 0
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ended.stderr
    assert message in lines[0]
    assert message in (ml / "output" / "failure").read_text()


def test_a_run_that_diverges_fails_with_the_reason(ml: Path) -> None:
    chosen = {"optimizer": "sgd", "lr": 1000, "weight_decay": 1000, "gradient_clip": 0}
    ended = train(ml, "train_cpu.py", epochs=3, **chosen)
    assert ended.returncode != 0
    reason = (ml / "output" / "failure").read_text()
    assert "Lower lr or set gradient-clip" in reason
    assert "nan" in reason
