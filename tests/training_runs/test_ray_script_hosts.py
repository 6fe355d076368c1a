"""A search of any script over two hosts of a training job, one of which is lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
HEAD, WORKER = "127.0.0.2", "127.0.0.3"  # Ray would replace 127.0.0.1 by the machine's address
TRIALS = int(os.environ.get("HPOQ_RAY_TRIALS", "120"))
SCRIPT = """
import argparse, os, time

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_args().lr
time.sleep(0.1)
print(f"accuracy={1 - lr:.6f} host={os.environ['HOST_OF_THE_TEST']}")
"""
# Ray notices a lost host in 2.5 seconds but still waits for a slow one.
HEALTH_CHECKS = {"RAY_health_check_period_ms": "500", "RAY_health_check_timeout_ms": "10000"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs several loopback addresses"),
]


@contextmanager
def host(name: str, folder: Path, port: int, number: int) -> Iterator[subprocess.Popen[str]]:
    """Run the script as one of two hosts and kill all its processes at the end of the block."""
    environ = {
        **os.environ, **HEALTH_CHECKS, "SM_HOSTS": json.dumps([HEAD, WORKER]),
        "SM_CURRENT_HOST": name, "HOST_OF_THE_TEST": str(number),
    }  # fmt: skip
    given: dict[str, object] = {
        "source": folder, "script": "own.py", "trials": TRIALS, "cpus": 1, "port": port,
        "space": json.dumps({"lr": {"type": "continuous", "min": 0, "max": 1}}),
        "metrics": json.dumps({"accuracy": "accuracy=([0-9.]+)", "host": "host=([0-9])"}),
        "objective": "accuracy", "scheduler": "none", "progress-seconds": 0,
        "model-dir": folder / "model", "checkpoint-dir": folder / "checkpoints",
    }  # fmt: skip
    flags = [part for key, value in given.items() for part in (f"--{key}", str(value))]
    command = [sys.executable, str(ROOT / "training" / "train_ray_script.py"), *flags]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environ, text=True, stdout=pipe, stderr=pipe) as started:
        try:
            yield started
        finally:
            kill(started)


def kill(started: subprocess.Popen[str]) -> None:
    """Kill the script and all processes that it started."""
    if started.poll() is None:
        script = psutil.Process(started.pid)
        for each in [script, *script.children(recursive=True)]:
            each.kill()


def rows(folder: Path) -> list[dict[str, Any]]:
    try:
        lines = (folder / "checkpoints" / "trials.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines[1:]]


def wait_for_a_trial_on_the_second(head: subprocess.Popen[str], folder: Path) -> str:
    """Read the first host's log until the second one has ended a trial, and return it."""
    said = ""
    assert head.stderr is not None
    for line in head.stderr:
        said += line
        if any(row["metrics"].get("host") == 2 for row in rows(folder)):
            break
    assert len(rows(folder)) < TRIALS, "the kill comes while the search runs"
    return said


@pytest.mark.timeout(280)
@pytest.mark.parametrize("lost", ["host", "search"])
def test_no_trial_is_lost_or_counted_twice_with_a_host_or_with_the_search(
    lost: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(SCRIPT)
    with socket.create_server((HEAD, 0)) as free:
        port: int = free.getsockname()[1]
    with host(WORKER, tmp_path, port, 2) as worker, host(HEAD, tmp_path, port, 1) as head:
        said = wait_for_a_trial_on_the_second(head, tmp_path)
        assert "2 hosts form one Ray cluster" in said
        if lost == "host":
            kill(worker)
        else:
            (driver,) = psutil.Process(head.pid).children()
            driver.kill()
        out, rest = head.communicate(timeout=200)
    assert head.returncode == 0, said + rest
    assert ("the search was killed and continues" in rest) == (lost == "search")
    found = rows(tmp_path)
    assert sorted(row["number"] for row in found) == list(range(1, TRIALS + 1))
    assert {row["status"] for row in found} == {"Completed"}
    assert {row["metrics"]["host"] for row in found} == {1, 2}
    for row in found:
        assert row["objective"] == pytest.approx(1 - float(row["hyperparameters"]["lr"]), abs=1e-6)
    best = max(float(row["objective"]) for row in found)
    assert out.splitlines()[-1].startswith(f"accuracy={best:.6f}")
