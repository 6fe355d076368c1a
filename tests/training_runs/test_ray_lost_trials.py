"""A trial whose process is gone: where it goes on, and what if it is lost too often."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.training_scripts import command

pytestmark = pytest.mark.slow

SECONDS_LONG = {"epochs": 100, "hidden": 64, "batch_size": 16}  # five to ten of them
SAVING = {"checkpoint_epochs": 1, "trials": 1, "scheduler": "none", "cpus": 1}


@contextmanager
def search(small: Path, folder: Path, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A search of one trial; nothing of it outlives the block."""
    told = SECONDS_LONG | SAVING | {"checkpoint_dir": folder / "kept"} | options
    arguments = command("train_ray_cpu.py", small, folder / "model", **told)
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, text=True, stdout=pipe, stderr=pipe) as started:
        try:
            yield started
        finally:
            if started.poll() is None:
                for each in [*psutil.Process(started.pid).children(recursive=True), started]:
                    each.kill()


def kill_the_trial(started: subprocess.Popen[str], folder: Path) -> None:
    """Once its process has saved a checkpoint."""
    while started.poll() is None:
        for each in psutil.Process(started.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                at_work = re.match(r"ray::\w*Trial", " ".join(each.cmdline()))
                if at_work and _last_saved(folder) > each.create_time():
                    each.kill()
                    each.wait(10)
                    return
        time.sleep(0.05)
    raise AssertionError(started.communicate()[1])


def _last_saved(folder: Path) -> float:
    """When, by the clock of files. Ray deletes the folders of old checkpoints meanwhile."""
    times = [0.0]
    for place, _, names in os.walk(folder):  # which, unlike rglob, passes over what is gone
        if "trial.pt" in names:
            with suppress(FileNotFoundError):
                times.append((Path(place) / "trial.pt").stat().st_mtime)
    return max(times)


def only_row(folder: Path) -> dict[str, str]:
    with (folder / "model" / "results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return row


@pytest.mark.timeout(180)
def test_a_trial_whose_process_dies_goes_on_from_its_checkpoint(
    small: Path, tmp_path: Path
) -> None:
    with search(small, tmp_path) as started:
        kill_the_trial(started, tmp_path)
        _, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    row = only_row(tmp_path)
    assert (row["epoch"], row["error"]) == ("100", "")
    assert 0 < int(row["iterations_since_restore"]) < int(row["training_iteration"])


@pytest.mark.timeout(180)
def test_a_trial_that_was_lost_as_often_as_is_forgiven_is_tried_once_more(
    small: Path, tmp_path: Path
) -> None:
    with search(small, tmp_path, failures=1) as started:
        kill_the_trial(started, tmp_path)
        kill_the_trial(started, tmp_path)
        _, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    assert "trying again what was lost with a host" in err
    row = only_row(tmp_path)
    assert (row["epoch"], row["error"]) == ("100", "")
