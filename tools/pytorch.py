"""Install a CPU build of PyTorch with pip: what `make setup` does where uv cannot get one.

    .venv/bin/python tools/pytorch.py torch==2.13.0

On Linux, PyPI has only a build that needs 3 GB of CUDA packages. A package index or a folder that
pip's configuration names may have a CPU build; otherwise PyTorch's own index has one. Needs no
package itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
# Where pip looks, in this order. The second index may be out of reach, and must say so soon.
PLACES = ((), ("--index-url", CPU_INDEX, "--retries", "0", "--timeout", "15"))
OF_CUDA = ("nvidia-", "cuda-", "triton")
ONLY_CUDA = (
    "pip finds only the CUDA build of {requirement}, which downloads 3 GB, and {index} does not "
    "answer. Allow that address, or set PIP_EXTRA_INDEX_URL to a mirror of it. To accept CUDA: "
    "{pip}"
)
NOT_FOUND = (
    "pip finds no {requirement} ({reason}), and {index} does not answer. Allow that address, or "
    "set PIP_EXTRA_INDEX_URL to a mirror of it"
)

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and keep its output."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def install(requirement: str, run: Run = run) -> str | None:
    """Install PyTorch from the first place that has a CPU build; return the reason if none has."""
    problem, reason = NOT_FOUND, ""
    for place in PLACES:
        found = run([*PIP, *place, "--dry-run", "--report", "-", requirement])
        if found.returncode:
            reason = reason or " ".join(found.stderr.strip().splitlines()[-1:])
            continue
        if needs_cuda(found.stdout):
            problem = ONLY_CUDA
            continue
        done = run([*PIP, *place, requirement])
        return (done.stderr or done.stdout).strip() if done.returncode else None
    accept = f"{sys.executable} -m pip install {requirement}"
    return problem.format(requirement=requirement, index=CPU_INDEX, pip=accept, reason=reason)


def needs_cuda(report: str) -> bool:
    """Return whether pip would install packages of CUDA.

    Args:
        report: pip's installation report
            (https://pip.pypa.io/en/stable/reference/installation-report/).
    """
    names = (item["metadata"]["name"].lower() for item in json.loads(report)["install"])
    return any(name.startswith(OF_CUDA) for name in names)


if __name__ == "__main__":
    sys.exit(install(sys.argv[1]))
