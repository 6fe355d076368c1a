"""Processes forked from the warm parent are independent and end like other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpoq.local.sagemaker.training.processes.process_pool import WARM_PARENT

SCRIPT = """
import atexit, os, random, subprocess, sys, tempfile, threading, time
import numpy, torch
print(random.random(), numpy.random.rand(), torch.rand(1).item(), hasattr(torch, "left_behind"))
torch.left_behind = True
threading.Thread(target=lambda: (time.sleep(0.2), print("thread ended"))).start()
atexit.register(print, "exit handler ran")
child = subprocess.Popen(["sleep", "300"])
kept = tempfile.TemporaryDirectory()
print("child", child.pid, kept.name)
"""
STEPS = """
import resource, torch
for _ in range(100):
    tensors = [torch.ones(1 << 18) for _ in range(24)]
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""

MAIN = '''
"""What a script can tell about the main module."""
import atexit, concurrent.futures, inspect, multiprocessing, pickle, sys, typing

class Kept:
    def method(self) -> "int":
        return 1

def double(number):
    return 2 * number

if __name__ == "__main__":
    main = sys.modules["__main__"]
    print(__doc__, __spec__, __package__, main.__file__ == __file__ == sys.argv[0], __cached__)
    print(type(__loader__).__name__, type(__builtins__).__name__, sorted(vars()))
    print(type(pickle.loads(pickle.dumps(Kept()))), inspect.getsource(double))
    print(typing.get_type_hints(Kept.method), Kept.method.__annotations__, sys.flags.inspect)
    with concurrent.futures.ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        print(list(pool.map(double, [1, 2])))
    atexit.register(lambda: print("at exit", double(4)))
    unclosed = open("unclosed.txt", "w")
    unclosed.write("flushed")
    sys.exit()
'''

NETWORK = """
import socket
print([name for _, name in socket.if_nameindex()])
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname(), 5).close()
"""
NOT_ENFORCED = "hpoq: network isolation of this job is not enforced on this machine: "


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-u", str(WARM_PARENT), "torch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def ran(
    parent: subprocess.Popen[bytes],
    folder: Path,
    number: int,
    *,
    fresh: bool = False,
    isolated: bool = False,
    hosts: str = '["algo-1"]',
    temporary: dict[str, str] | None = None,
) -> list[str]:
    log = folder / f"{number}.log"
    order: dict[str, Any] = {
        "id": str(number),
        "arguments": [str(folder / "script.py")],
        "environment": {"PATH": os.environ["PATH"], "SM_HOSTS": hosts},
        "folder": str(folder),
        "log": str(log),
        "fresh": fresh,
        "isolated": isolated,
        "temporary": temporary or {},
        "visible": [str(folder)],
        "note": "",
    }
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(json.dumps(order).encode() + b"\n")
    parent.stdin.flush()
    said = next(line for line in map(json.loads, parent.stdout) if "status" in line)
    assert said["status"] == 0, log.read_text()
    return log.read_text().splitlines()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_children_share_neither_random_numbers_nor_state_and_end_completely(
    parent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    first, second = (ran(parent, tmp_path, number) for number in range(2))

    for one, other in zip(first[0].split()[:3], second[0].split()[:3], strict=True):
        assert one != other
    assert first[0].split()[3] == second[0].split()[3] == "False"
    for lines in (first, second):
        assert lines[2:] == ["thread ended", "exit handler ran"]
        assert not Path(lines[1].split()[2]).exists()  # its finalizers ran
        pid = int(lines[1].split()[1])
        deadline = time.monotonic() + 5
        while is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_running(pid)


def test_a_script_is_the_main_module_as_in_a_new_interpreter(
    parent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(MAIN)
    forked = ran(parent, tmp_path, 1)
    assert (tmp_path / "unclosed.txt").read_text() == "flushed"
    assert forked == ran(parent, tmp_path, 2, fresh=True)
    assert forked[-2:] == ["[2, 4]", "at exit 8"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another malloc")
def test_a_child_reuses_the_memory_that_its_tensors_free(
    parent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(STEPS)
    (faults,) = ran(parent, tmp_path, 1)
    assert int(faults) < 60_000  # 100 steps of 24 MB are 600,000 pages


@pytest.mark.parametrize("fresh", [False, True])
def test_a_fresh_process_has_a_new_interpreter(
    parent: subprocess.Popen[bytes], tmp_path: Path, fresh: bool
) -> None:
    looks = ("'torch' in sys.modules", "os.getcwd()", "'CUDA_VISIBLE_DEVICES' in os.environ")
    (tmp_path / "script.py").write_text(f"import os, sys\nprint({', '.join(looks)})\n")
    assert ran(parent, tmp_path, 1, fresh=fresh) == [f"{not fresh} {tmp_path} False"]


@pytest.mark.parametrize("fresh", [False, True])
def test_an_isolated_process_has_only_a_loopback_interface(
    parent: subprocess.Popen[bytes], tmp_path: Path, *, fresh: bool
) -> None:
    (tmp_path / "script.py").write_text(NETWORK)
    lines = ran(parent, tmp_path, 1, fresh=fresh, isolated=True)
    if lines[0].startswith(NOT_ENFORCED):
        pytest.skip(lines[0])
    assert lines == ["['lo']"]


def test_several_instances_keep_the_network_between_them_and_say_so(
    parent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text("")
    lines = ran(parent, tmp_path, 1, isolated=True, hosts='["algo-1", "algo-2"]')
    assert lines == [f"{NOT_ENFORCED}its instances must reach each other"]


# Where a folder cannot be replaced, such as on a Mac, none is.
def test_without_folders_of_its_own_a_process_has_a_tmpdir_of_its_own(
    parent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "script.py").write_text(
        "import os, tempfile\nprint(tempfile.gettempdir(), sorted(os.listdir('/tmp')))\n"
    )
    folders = {"/tmp": str(tmp_path / "own"), "/hpoq-nowhere": str(tmp_path / "own")}
    (line,) = ran(parent, tmp_path, 1, temporary=folders)
    assert line.split()[0] == str(tmp_path / "own")
    assert tmp_path.parts[2] in line  # /tmp is what it was
