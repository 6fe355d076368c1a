"""Tests of two hosts that form one Ray cluster: joining, losing a host, and SIGTERM."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "training" / "train_ray_cpu.py"
FINAL = re.compile(r"best_epoch=\d+ validation:auc=([0-9.]+) .* test:auc=([0-9.]+)")
HEAD, WORKER = "127.0.0.2", "127.0.0.3"  # Ray would replace 127.0.0.1 by the machine's address

# Half a second per trial, and a line at the end of each trial, which the tests wait for.
QUICK = ["--epochs", "10", "--hidden", "64", "--batch-size", "16", "--progress-seconds", "0"]

# Ray notices a lost host in 2.5 seconds but still waits for a slow one.
HEALTH_CHECKS = {"RAY_health_check_period_ms": "500", "RAY_health_check_timeout_ms": "10000"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs several loopback addresses"),
]


@pytest.fixture
def port() -> int:
    with socket.create_server((HEAD, 0)) as free:
        number: int = free.getsockname()[1]
        return number


@contextmanager
def host(
    name: str, small: Path, folder: Path, port: int, *more: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the script as one of two hosts and kill all its processes at the end of the block."""
    environ = {
        **os.environ,
        **HEALTH_CHECKS,
        "SM_HOSTS": json.dumps([HEAD, WORKER]),
        "SM_CURRENT_HOST": name,
    }
    folders = ["--data-dir", str(small), "--model-dir", str(folder / "model")]
    folders += ["--checkpoint-dir", str(folder / "checkpoints")]
    command = [sys.executable, str(SCRIPT), *folders, "--cpus", "1", "--port", str(port), *more]
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


def of_cluster(port: int) -> list[str]:
    """Return the command lines of the processes that belong to the cluster on a port."""
    lines = (" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))
    return [line for line in lines if f"{HEAD}:{port}" in line]


def wait_for(line: str, started: subprocess.Popen[str]) -> str:
    """Read a host's log up to a line that matches, and return it."""
    assert started.stderr is not None
    seen = []
    for each in started.stderr:
        seen.append(each)
        if re.search(line, each):
            return "".join(seen)
    raise AssertionError("".join(seen))


def wait_for_a_trial_on(started: subprocess.Popen[str]) -> None:
    """Wait until a process of this host runs a step of a trial."""
    script = psutil.Process(started.pid)
    while started.poll() is None:
        for each in script.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if re.match(r"ray::\w+\.train", " ".join(each.cmdline())):
                    return
        time.sleep(0.05)
    raise AssertionError("the host ended before it ran a trial")


def wait_for_another_to_end(head: subprocess.Popen[str]) -> str:
    """Read the log up to a line that counts one more trial than the line before it."""
    counted = r"^(\d+)/\d+ trials ended"
    before = re.search(counted, (log := wait_for(counted, head)).splitlines()[-1])
    assert before is not None
    return log + wait_for(rf"^(?!{before[1]}/)\d+/\d+ trials ended", head)


@pytest.mark.timeout(420)
def test_two_hosts_share_the_trials_and_the_search_survives_the_loss_of_one(
    small: Path, tmp_path: Path, port: int
) -> None:
    # So long that the head is still busy when the worker's first process has imported PyTorch, and
    # that its steps are seen.
    wanted = ["--trials", "20", "--scheduler", "none", *QUICK, "--epochs", "60"]
    with ExitStack() as hosts:
        worker = hosts.enter_context(host(WORKER, small, tmp_path, port, *wanted))
        head = hosts.enter_context(host(HEAD, small, tmp_path, port, *wanted))
        log = wait_for("2 hosts form one Ray cluster", head)
        wait_for_a_trial_on(worker)
        for _ in range(5):  # by then, at least one trial of the worker has ended
            log += wait_for_another_to_end(head)
        kill(worker)
        out, err = head.communicate(timeout=300)
    assert ", 2 of 2 hosts" in log
    assert head.returncode == 0, err
    assert ", 1 of 2 hosts" in err, err
    assert "20/20 trials ended" in err
    assert FINAL.search(out)
    with (tmp_path / "model" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert not any(row["error"] for row in rows)
    assert {row["node_ip"] for row in rows} == {HEAD, WORKER}
    assert (tmp_path / "model" / "model.pt").is_file()


@pytest.mark.timeout(420)
def test_sigterm_ends_all_hosts_cleanly_and_the_search_can_be_resumed(
    small: Path, tmp_path: Path, port: int
) -> None:
    wanted = ["--trials", "8", *QUICK]
    with ExitStack() as hosts:
        worker = hosts.enter_context(host(WORKER, small, tmp_path, port, *wanted))
        head = hosts.enter_context(host(HEAD, small, tmp_path, port, *wanted))
        wait_for(r"[2-5]/8 trials ended, 2 of 2 hosts", head)
        assert of_cluster(port)
        head.send_signal(signal.SIGTERM)
        _, err = head.communicate(timeout=100)
        assert head.returncode == 143, err
        assert worker.wait(60) == 0, "the worker ends after the head has ended"
        assert not of_cluster(port), "no process of Ray is left"
    assert (tmp_path / "model" / "model.pt").is_file(), "the best model so far is saved"

    command = [sys.executable, str(SCRIPT), "--data-dir", str(small), "--cpus", "1", *wanted]
    command += ["--model-dir", str(tmp_path / "model")]
    command += ["--checkpoint-dir", str(tmp_path / "checkpoints")]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "resuming the search" in again.stderr
    assert "8/8 trials ended" in again.stderr


def test_a_host_that_does_not_join_in_time_fails_the_run_with_one_line(
    small: Path, tmp_path: Path, port: int
) -> None:
    with host(HEAD, small, tmp_path, port, "--join-seconds", "15") as head:
        _, err = head.communicate(timeout=100)
    assert head.returncode == 1
    assert err == "error: 1 of 2 hosts have joined the cluster after 15 seconds\n"


def test_a_worker_without_a_head_fails_with_one_line(
    small: Path, tmp_path: Path, port: int
) -> None:
    with host(WORKER, small, tmp_path, port, "--join-seconds", "1") as worker:
        _, err = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert err == f"error: no Ray on {HEAD}:{port} after 1 seconds\n"
