"""Tests of the scripts in SageMaker's PyTorch container: its entry point, network and signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.sagemaker_container import (
    Container,
    can_isolate,
    pack_wheels,
    read_until,
    send,
    without_ray,
)
from tests.support.training_scripts import METRIC, ROOT

# An interpreter with the versions of the images; CONTRIBUTING.md says how to get one.
IMAGE_PYTHON = "HPOQ_TEST_IMAGE_PYTHON"
QUICK = {"epochs": 2, "hidden": "16", "batch_size": 512}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_isolate(), reason="may not create namespaces: needs Linux and root"),
]


@pytest.fixture(params=["pinned here", "of the image"])
def python(request: pytest.FixtureRequest) -> Path:
    if request.param == "pinned here":
        return Path(sys.executable)
    if IMAGE_PYTHON not in os.environ:
        pytest.skip(f"{IMAGE_PYTHON} names no interpreter with the versions of the images")
    return Path(os.environ[IMAGE_PYTHON])


def predictions(model: Path, data: Path, python: Path) -> list[str]:
    """Return the lines that predict.py prints for the test part."""
    command = [python, ROOT / "training" / "predict.py", "--model", model, "--data", data / "test"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize("network", [True, False], ids=["network", "isolated"])
def test_the_container_trains_a_model_with_and_without_a_network(
    small: Path, tmp_path: Path, python: Path, network: bool
) -> None:
    container = Container(tmp_path, python, network=network)
    container.lay_out(small, "train_cpu.py", **QUICK)

    status, log = container.run()

    assert status == 0, log
    assert "test:auc" in dict(METRIC.findall(log))
    assert len(predictions(tmp_path / "model", small, python)) > 1
    assert (tmp_path / "checkpoints" / "checkpoint.pt").is_file()
    assert (tmp_path / "output" / "success").is_file()


def test_a_stopped_container_leaves_its_best_model_and_resumes_without_having_seen_sigterm(
    small: Path, tmp_path: Path, python: Path
) -> None:
    container = Container(tmp_path, python)
    container.lay_out(small, "train_cpu.py", **QUICK | {"epochs": 400, "patience": 400})
    with container.start() as started:
        log = read_until("epoch=2 ", started)
        send(signal.SIGTERM, started)
        epoch = int(re.findall(r"epoch=(\d+) ", log)[-1])
        log += read_until(f"epoch={epoch + 20} ", started)
        send(signal.SIGKILL, started)
        log += started.communicate()[0]
    assert "SIGTERM" not in log
    assert len(predictions(tmp_path / "model", small, python)) > 1
    last = int(re.findall(r"epoch=(\d+) ", log)[-1])
    state = torch.load(tmp_path / "checkpoints" / "checkpoint.pt", weights_only=True)
    step, saved, best = state["progress"]
    assert saved >= last - 1, "at most one epoch is lost"
    about = torch.load(tmp_path / "model" / "model.pt", weights_only=True)["about"]
    assert about["epoch"] >= best

    (tmp_path / "model" / "model.pt").unlink()  # SageMaker restores the checkpoints only
    with container.start() as started:
        read_until(f"resuming after {saved} epochs and {step} steps", started)
        read_until(f"epoch={saved + 1} ", started)
        send(signal.SIGKILL, started)
        started.communicate()
    assert len(predictions(tmp_path / "model", small, python)) > 1


def test_an_isolated_search_without_ray_fails_with_the_ways_to_provide_it(
    small: Path, tmp_path: Path
) -> None:
    container = Container(tmp_path, without_ray(tmp_path / "image"), network=False)
    container.lay_out(small, "train_ray_cpu.py", trials=2)

    status, log = container.run()

    assert status != 0
    (line,) = [each for each in log.splitlines() if each.startswith("error: ")]
    assert "pass the wheels as a channel named dependencies" in line
    assert "pass the wheels as a channel" in (tmp_path / "output" / "failure").read_text()


def test_an_isolated_search_installs_ray_from_its_channel(small: Path, tmp_path: Path) -> None:
    container = Container(tmp_path, without_ray(tmp_path / "image"), network=False)
    container.lay_out(small, "train_ray_cpu.py", trials=2, cpus=1, **QUICK)
    pack_wheels(container.channel("dependencies"))

    status, log = container.run()

    assert status == 0, log
    assert "installing requirements-ray.txt" in log
    assert "test:auc" in dict(METRIC.findall(log))
    assert (tmp_path / "model" / "results.csv").is_file()


def test_a_killed_search_leaves_its_best_model_and_resumes(small: Path, tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.lay_out(
        small, "train_ray_cpu.py", trials=12, cpus=1, progress_seconds=0, scheduler="none", **QUICK
    )
    with container.start() as started:
        log = read_until("5/12 trials ended", started)
        send(signal.SIGTERM, started)
        log += read_until("6/12 trials ended", started)
        send(signal.SIGKILL, started)
        log += started.communicate()[0]
    assert "SIGTERM" not in log
    python = Path(sys.executable)
    assert len(predictions(tmp_path / "model", small, python)) > 1
    best = float(re.findall(r"validation:auc so far ([0-9.]+)", log)[-1])
    (kept,) = (tmp_path / "checkpoints").glob("search-*/model.pt")
    for model in (tmp_path / "model", kept.parent):
        about = torch.load(model / "model.pt", weights_only=True)["about"]
        assert about["validation"]["auc"] > best - 1e-4  # the log has four digits

    (tmp_path / "model" / "model.pt").unlink()  # SageMaker restores the checkpoints only
    with container.start() as started:
        log = read_until("trials ended", started)
        assert len(predictions(tmp_path / "model", small, python)) > 1
        log += started.communicate()[0]
    assert started.returncode == 0, log
    assert "resuming the search" in log
    assert "12/12 trials ended" in log
