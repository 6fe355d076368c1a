"""Tests of the Ray scripts in SageMaker's PyTorch container, which does not include Ray."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import torch

from tests.support.sagemaker_container import (
    Container,
    can_isolate,
    pack_wheels,
    predictions,
    read_until,
    send,
    without_ray,
)
from tests.support.training_scripts import METRIC

QUICK = {"epochs": 2, "hidden": "16", "batch_size": 512, "cpus": 1}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_isolate(), reason="may not create namespaces: needs Linux and root"),
]


@pytest.mark.ci
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


@pytest.mark.ci
def test_an_isolated_search_installs_ray_from_its_channel(small: Path, tmp_path: Path) -> None:
    container = Container(tmp_path, without_ray(tmp_path / "image"), network=False)
    container.lay_out(small, "train_ray_cpu.py", trials=2, **QUICK)
    pack_wheels(container.channel("dependencies"))

    status, log = container.run()

    assert status == 0, log
    assert "installing requirements-ray.txt" in log
    assert "test:auc" in dict(METRIC.findall(log))
    assert (tmp_path / "model" / "results.csv").is_file()


def test_a_killed_search_leaves_its_best_model_and_resumes(small: Path, tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.lay_out(
        small, "train_ray_cpu.py", trials=12, progress_seconds=0, scheduler="none", **QUICK
    )
    with container.start() as started:
        log = read_until("5/12 trials ended", started)
        send(signal.SIGTERM, started)
        log += read_until("6/12 trials ended", started)
        send(signal.SIGKILL, started)
        log += started.communicate()[0]
    assert "SIGTERM" not in log
    assert len(predictions(tmp_path / "model", small)) > 1
    best = float(re.findall(r"validation:auc so far ([0-9.]+)", log)[-1])
    (kept,) = (tmp_path / "checkpoints").glob("search-*/model.pt")
    for model in (tmp_path / "model", kept.parent):
        about = torch.load(model / "model.pt", weights_only=True)["about"]
        assert about["validation"]["auc"] > best - 1e-4  # the log has four digits

    (tmp_path / "model" / "model.pt").unlink()  # SageMaker restores the checkpoints only
    with container.start() as started:
        log = read_until("trials ended", started)
        assert len(predictions(tmp_path / "model", small)) > 1
        log += started.communicate()[0]
    assert started.returncode == 0, log
    assert "resuming the search" in log
    table = (tmp_path / "model" / "results.csv").read_text().splitlines()
    assert len(table) == 1 + 12, log
