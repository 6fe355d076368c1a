"""Tests of trials whose process dies: they resume from a checkpoint, and are retried once more."""

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
    """Run a search of one trial and kill all its processes at the end of the block."""
    options = SECONDS_LONG | SAVING | {"checkpoint_dir": folder / "checkpoints"} | options
    arguments = command("train_ray_cpu.py", small, folder / "model", **options)
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, text=True, stdout=pipe, stderr=pipe) as started:
        try:
            yield started
        finally:
            if started.poll() is None:
                for each in [*psutil.Process(started.pid).children(recursive=True), started]:
                    each.kill()


def kill_the_trial(started: subprocess.Popen[str], folder: Path) -> None:
    """Kill the trial's process once the search knows a checkpoint that it has saved.

    A trial saves its second checkpoint only after the search has recorded the first.
    """
    saved: set[Path] = set()
    while started.poll() is None:
        for each in psutil.Process(started.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if re.match(r"ray::\w*Trainable", " ".join(each.cmdline())):
                    saved |= checkpoints_since(each.create_time(), folder)
                    if len(saved) > 1:
                        each.kill()
                        each.wait(10)
                        return
        time.sleep(0.05)
    raise AssertionError(started.communicate()[1])


def checkpoints_since(start: float, folder: Path) -> set[Path]:
    """Return the checkpoints saved after a time; Ray deletes older ones at the same time."""
    found = set()
    for place, _, names in os.walk(folder):  # unlike rglob, it skips a folder that disappears
        if "trial.pt" in names:
            path = Path(place, "trial.pt")
            with suppress(FileNotFoundError):
                if path.stat().st_mtime > start:
                    found.add(path)
    return found


def only_row(folder: Path) -> dict[str, str]:
    with (folder / "model" / "results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return row


@pytest.mark.timeout(180)
def test_a_trial_whose_process_dies_resumes_from_its_checkpoint(
    small: Path, tmp_path: Path
) -> None:
    with search(small, tmp_path) as started:
        kill_the_trial(started, tmp_path)
        out, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    row = only_row(tmp_path)
    assert (row["epoch"], row["error"]) == ("100", "")
    assert 0 < int(row["iterations_since_restore"]) < int(row["training_iteration"])
    assert len(re.findall(r"^trial \w+ lost its process and runs again$", err, re.M)) == 1
    assert len(err.splitlines()) < 30, err
    assert out.startswith("best_epoch="), "nothing about the lost process"
    assert len(out.splitlines()) == 1


@pytest.mark.timeout(180)
def test_a_trial_that_was_lost_more_often_than_its_retries_is_retried_once_more(
    small: Path, tmp_path: Path
) -> None:
    with search(small, tmp_path, failures=1) as started:
        kill_the_trial(started, tmp_path)
        kill_the_trial(started, tmp_path)
        _, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    assert "retrying trials that were lost with their host" in err
    row = only_row(tmp_path)
    assert (row["epoch"], row["error"]) == ("100", "")
