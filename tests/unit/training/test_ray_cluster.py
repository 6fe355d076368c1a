"""Several hosts of a training job form one Ray cluster: together, apart, and cut short."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "training" / "train_ray_cpu.py"
FINAL = re.compile(r"best_epoch=\d+ validation:auc=([0-9.]+) .* test:auc=([0-9.]+)")
HEAD, WORKER = "127.0.0.2", "127.0.0.3"  # Ray takes 127.0.0.1 for this machine's outer address

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="one address a host on the loopback"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("credit-default")
    preparing = [sys.executable, "-m", "training.prepare_data", "--synthetic", "--out", str(out)]
    subprocess.run(preparing, cwd=ROOT, check=True, capture_output=True)
    return out


@pytest.fixture
def port() -> int:
    with socket.create_server((HEAD, 0)) as free:
        number: int = free.getsockname()[1]
        return number


@contextmanager
def host(
    name: str, data: Path, folder: Path, port: int, *more: str
) -> Iterator[subprocess.Popen[str]]:
    """The script as SageMaker starts it on one of two hosts; nothing of it outlives the block."""
    environ = {**os.environ, "SM_HOSTS": json.dumps([HEAD, WORKER]), "SM_CURRENT_HOST": name}
    folders = ["--data-dir", str(data), "--model-dir", str(folder / "model")]
    folders += ["--checkpoint-dir", str(folder / "kept")]
    command = [sys.executable, str(SCRIPT), *folders, "--cpus", "1", "--port", str(port), *more]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environ, text=True, stdout=pipe, stderr=pipe) as started:
        try:
            yield started
        finally:
            kill(started)


def kill(started: subprocess.Popen[str]) -> None:
    """Pull the plug: the script and all that it has started, at once."""
    if started.poll() is None:
        script = psutil.Process(started.pid)
        for each in [*script.children(recursive=True), script]:
            each.kill()


def of_cluster(port: int) -> list[str]:
    """Command lines of processes that belong to the cluster of a port."""
    lines = (" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))
    return [line for line in lines if f"{HEAD}:{port}" in line]


def wait_for(line: str, started: subprocess.Popen[str]) -> str:
    """Read what a host logs up to a line that matches."""
    assert started.stderr is not None
    seen = []
    for each in started.stderr:
        seen.append(each)
        if re.search(line, each):
            return "".join(seen)
    raise AssertionError("".join(seen))


@pytest.mark.timeout(280)
def test_two_hosts_share_the_trials_and_the_loss_of_one_is_survived(
    data: Path, tmp_path: Path, port: int
) -> None:
    wanted = ["--trials", "30", "--epochs", "8", "--scheduler", "none", "--hidden", "128-64"]
    wanted += ["--batch-size", "256"]
    with ExitStack() as hosts:
        worker = hosts.enter_context(host(WORKER, data, tmp_path, port, *wanted))
        head = hosts.enter_context(host(HEAD, data, tmp_path, port, *wanted))
        log = wait_for(r"^([4-9]|1\d)/30 trials ended, 2 of 2 hosts", head)
        kill(worker)
        out, err = head.communicate(timeout=200)
    assert "2 hosts form one Ray cluster" in log
    assert head.returncode == 0, err
    assert "30/30 trials ended, 1 of 2 hosts" in err
    assert FINAL.search(out)
    with (tmp_path / "model" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert not any(row["error"] for row in rows)
    assert {row["node_ip"] for row in rows} == {HEAD, WORKER}
    assert (tmp_path / "model" / "model.pt").is_file()


@pytest.mark.timeout(280)
def test_sigterm_ends_all_hosts_cleanly_and_the_search_goes_on_from_there(
    data: Path, tmp_path: Path, port: int
) -> None:
    wanted = ["--trials", "12", "--epochs", "6", "--hidden", "64", "--batch-size", "256"]
    with ExitStack() as hosts:
        worker = hosts.enter_context(host(WORKER, data, tmp_path, port, *wanted))
        head = hosts.enter_context(host(HEAD, data, tmp_path, port, *wanted))
        wait_for(r"\d+/12 trials ended, 2 of 2 hosts", head)
        assert of_cluster(port)
        head.send_signal(signal.SIGTERM)
        _, err = head.communicate(timeout=100)
        assert head.returncode == 143, err
        assert worker.wait(60) == 0, "the worker leaves when the head has gone"
        assert not of_cluster(port), "no process of Ray is left"
    assert (tmp_path / "model" / "model.pt").is_file(), "the best so far is kept"

    command = [sys.executable, str(SCRIPT), "--data-dir", str(data), "--cpus", "2", *wanted]
    command += ["--model-dir", str(tmp_path / "model"), "--checkpoint-dir", str(tmp_path / "kept")]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "resuming the search" in again.stderr
    assert "12/12 trials ended" in again.stderr


def test_a_host_that_does_not_join_in_time_fails_the_run_in_one_line(
    data: Path, tmp_path: Path, port: int
) -> None:
    with host(HEAD, data, tmp_path, port, "--join-seconds", "15") as head:
        _, err = head.communicate(timeout=100)
    assert head.returncode == 1
    assert err == "error: 1 of 2 hosts have joined the cluster after 15 seconds\n"


def test_a_worker_without_a_head_gives_up_in_one_line(
    data: Path, tmp_path: Path, port: int
) -> None:
    with host(WORKER, data, tmp_path, port, "--join-seconds", "1") as worker:
        _, err = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert err == f"error: no Ray on {HEAD}:{port} after 1 seconds\n"
