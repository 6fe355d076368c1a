"""pip never downloads the CUDA packages of PyTorch; one line says how to get the CPU build."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

import pytest

from tools.pytorch import CPU_INDEX, install, needs_cuda

WANTED = "torch==2.13.0"
NOTHING = "ERROR: No matching distribution found for torch==2.13.0"


def report(*names: str) -> str:
    """https://pip.pypa.io/en/stable/reference/installation-report/"""
    return json.dumps({"version": "1", "install": [{"metadata": {"name": name}} for name in names]})


CPU = report("torch", "sympy")
# Names from the metadata of torch 2.13.0 on PyPI, for Linux.
CUDA = report("torch", "nvidia-cublas", "cuda-bindings", "triton")


class Pip:
    """What pip answers at each place, and what it was asked to install."""

    def __init__(self, configured: str | None, of_pytorch: str | None, status: int = 0) -> None:
        self._reports = {False: configured, True: of_pytorch}
        self._status = status
        self.installed: list[str] = []

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        found = self._reports[CPU_INDEX in command]
        if found is None:
            return subprocess.CompletedProcess(command, 1, "", f"Looking\n{NOTHING}\n")
        if "--dry-run" in command:
            return subprocess.CompletedProcess(command, 0, found, "")
        self.installed.append("PyTorch's index" if CPU_INDEX in command else "configured")
        return subprocess.CompletedProcess(command, self._status, "", "disk full")


@pytest.mark.parametrize(
    ("configured", "of_pytorch", "place"),
    [
        (CPU, None, "configured"),
        (CUDA, CPU, "PyTorch's index"),
        (None, CPU, "PyTorch's index"),
    ],
)
def test_pip_installs_a_cpu_build_from_the_first_place_that_has_one(
    configured: str | None, of_pytorch: str | None, place: str
) -> None:
    pip = Pip(configured, of_pytorch)
    assert install(WANTED, pip) is None
    assert pip.installed == [place]


@pytest.mark.parametrize(
    ("configured", "of_pytorch", "said"),
    [
        (CUDA, None, "pip finds only the CUDA build of torch==2.13.0, which downloads 3 GB"),
        (CUDA, CUDA, "pip finds only the CUDA build of torch==2.13.0, which downloads 3 GB"),
        (None, None, f"pip finds no torch==2.13.0 ({NOTHING})"),
    ],
)
def test_without_a_cpu_build_nothing_is_installed_and_one_line_names_the_fix(
    configured: str | None, of_pytorch: str | None, said: str
) -> None:
    pip = Pip(configured, of_pytorch)
    problem = install(WANTED, pip) or ""
    assert pip.installed == []
    assert problem.startswith(said)
    assert f"{CPU_INDEX} does not answer. Allow that address, or set PIP_EXTRA_INDEX_URL" in problem
    assert "\n" not in problem


def test_a_failed_installation_says_what_pip_said() -> None:
    assert install(WANTED, Pip(CPU, None, status=1)) == "disk full"


def test_packages_of_cuda_are_known_by_their_names() -> None:
    assert needs_cuda(CUDA)
    assert not needs_cuda(CPU)
    assert not needs_cuda(report())  # all of it is installed
