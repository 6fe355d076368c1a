"""Tests of the scripts in SageMaker's PyTorch container: its entry point, network and signals."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest
import torch

from tests.support.sagemaker_container import (
    Container,
    can_isolate,
    predictions,
    read_until,
    send,
)
from tests.support.training_scripts import METRIC

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
        pytest.skip(
            f"set {IMAGE_PYTHON} to an interpreter with the versions of the images, which "
            "CONTRIBUTING.md installs; the same test runs with those pinned here"
        )
    return Path(os.environ[IMAGE_PYTHON])


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
