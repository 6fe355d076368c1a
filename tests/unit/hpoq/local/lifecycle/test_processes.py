"""Killing only the processes with the mark of a cloud."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hpoq.local.lifecycle import processes

SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]


@pytest.fixture
def mark() -> str:
    return secrets.token_hex(8)


def started(**environ: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        SLEEP, stdout=subprocess.PIPE, env={**os.environ, **environ}, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()  # wait until it runs
    return process


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with started() as process:
        yield process
        process.kill()


def test_marked_processes_are_killed_and_others_are_not(
    mark: str, stranger: subprocess.Popen[bytes]
) -> None:
    ours = [started(**{processes.MARK: mark}) for _ in range(2)]
    assert sorted(processes.marked(mark)) == sorted(process.pid for process in ours)

    assert processes.kill_marked(mark) == 2

    for process in ours:
        with process:
            assert process.wait(10) < 0
    assert stranger.poll() is None
    assert processes.kill_marked(mark) == 0


def test_a_mark_with_the_same_prefix_is_a_different_mark(mark: str) -> None:
    with started(**{processes.MARK: mark + "1"}) as other:
        assert processes.marked(mark) == []
        other.kill()


def test_killing_an_ended_process_is_not_an_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    processes.kill([gone.pid])


def test_waiting_repeats_the_condition_and_times_out() -> None:
    answers = iter([False, False, True])
    assert processes.wait_until(lambda: next(answers), 5, step=0.001)
    assert not processes.wait_until(lambda: False, 0.01, step=0.001)
