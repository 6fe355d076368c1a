"""Install the packages of this folder into its environment: `make setup`.

    .venv/bin/python tools/set_up.py           # all packages
    .venv/bin/python tools/set_up.py --demo    # those of `make demo` only

Steps that do not depend on each other run at the same time; each prints when it starts and how long
it took. uv installs everything: it is the fastest, and its `--torch-backend=cpu` gets the CPU build
of PyTorch on Linux, too, where PyPI's has 3 GB of CUDA. pip does what uv cannot, for example with a
package index that only pip's configuration names, but installs no CUDA either (tools/pytorch.py).
Every file is checked against the hashes of the lock file, except for PyTorch's: its CPU builds have
other files, on an index of their own or on a mirror (SECURITY.md). Needs no package itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.txt"
OF_DEMO = ROOT / "requirements-demo.in"
STILL_RUNNING = 15.0  # seconds between the lines about a step that is running
LINES_SHOWN = 5  # of the output of a step that failed

PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
UV = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable)
# Fills the cache that `cdk deploy` looks into, for the Python that the embedded cloud deploys for.
LAYER = """
import subprocess, sys
from hpoq.local.lifecycle import interpreters as found
version = found.FUNCTION_VERSION if found.find(found.FUNCTION_VERSION) else found.own_version()
build = [sys.executable, "layers/sagemaker_sdk/build.py", sys.argv[1], "--archive"]
sys.exit(subprocess.run([*build, "--python", version]).returncode)
"""
CLOUD = "from hpoq.local.lifecycle import installation; installation.cloud_python()"
PYTORCH = str(ROOT / "tools" / "pytorch.py")
AWS_CLI = str(ROOT / "examples" / "demo" / "aws_cli.py")


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the set-up."""

    name: str
    commands: Sequence[Sequence[str]]  # alternatives: the first that works
    after: Sequence[str] = ()  # names of the steps before it
    otherwise_after: Sequence[str] = ()  # names of the steps before the second alternative
    required: bool = True  # False: `hpoq local` does the same later, and reports its errors


def steps(torch: str, uv: str, packages: Sequence[str], layer: str) -> list[Step]:
    """Return all steps.

    Args:
        torch: the requirement of PyTorch.
        uv: the path of a file with the requirement of uv and its hashes.
        packages: arguments of uv and pip that name all other requirements.
        layer: an empty folder for the Lambda layer.
    """
    editable = ("--no-deps", "--no-build-isolation", "-e", str(ROOT))
    return [
        Step(name="uv", commands=[[*PIP, "--no-deps", "--require-hashes", "-r", uv]]),
        Step(
            name="PyTorch (CPU)",
            # The CPU build needs packages of the lock file only. What pip finds may need others,
            # and must not install the same packages at the same time.
            commands=[
                [*UV, "--torch-backend=cpu", "--no-deps", torch],
                [sys.executable, PYTORCH, torch],
            ],
            after=["uv"],
            otherwise_after=["packages"],
        ),
        Step(name="packages", commands=[[*UV, *packages], [*PIP, *packages]], after=["uv"]),
        Step(name="hpoq", commands=[[*UV, *editable], [*PIP, *editable]], after=["packages"]),
        Step(
            name="Lambda layer",
            commands=[[sys.executable, "-c", LAYER, layer]],
            after=["uv"],
            required=False,
        ),
        Step(
            name="embedded cloud",
            commands=[[sys.executable, "-c", CLOUD]],
            after=["uv"],
            required=False,
        ),
        Step(name="aws CLI", commands=[[sys.executable, AWS_CLI]], after=["uv"], required=False),
    ]


class SetUp:
    """Runs steps, each in a thread of its own."""

    def __init__(self, planned: Sequence[Step], say: Callable[[str], None]) -> None:
        self._planned = planned
        self._say = say
        self._ended = {step.name: threading.Event() for step in planned}
        self._failed: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """Run all steps; return the last lines of the required ones that failed, by name."""
        threads = [threading.Thread(target=self._run, args=[step]) for step in self._planned]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._failed

    def _run(self, step: Step) -> None:
        try:
            self._wait(step.after)
            if not self._failed.keys() & set(step.after):
                self._execute(step)
        finally:
            self._ended[step.name].set()

    def _wait(self, names: Sequence[str]) -> None:
        for name in names:
            self._ended[name].wait()

    def _execute(self, step: Step) -> None:
        began = time.monotonic()
        self._say(f"installing {step.name}")
        output = ""
        for number, command in enumerate(step.commands):
            self._wait(step.otherwise_after if number else ())
            status, output = self._command(command, step.name, began)
            if status == 0:
                self._say(f"installed {step.name} in {time.monotonic() - began:.0f} s")
                return
        if step.required:
            self._failed[step.name] = "\n".join(output.strip().splitlines()[-LINES_SHOWN:])

    def _command(self, command: Sequence[str], name: str, began: float) -> tuple[int, str]:
        """Run a command and say from time to time that it is running."""
        paths = os.pathsep.join([str(ROOT), str(ROOT / "lambdas")])
        environment = {"UV_HTTP_RETRIES": "0", **os.environ, "PYTHONPATH": paths}
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            while True:
                try:
                    output, _ = process.communicate(timeout=STILL_RUNNING)
                except subprocess.TimeoutExpired:
                    self._say(f"installing {name}: {time.monotonic() - began:.0f} s")
                else:
                    return process.returncode, output


def split(lock: str, alone: Sequence[str]) -> tuple[dict[str, str], str]:
    """Split a lock file into the requirements of some packages, with their hashes, and the rest."""
    found: dict[str, str] = {}
    rest: list[str] = []
    for requirement in re.split(r"\n(?=\S)", lock.strip()):
        name = requirement.partition("==")[0]
        if name in alone:
            found[name] = f"{requirement}\n"
        else:
            rest.append(requirement)
    return found, "\n".join(rest) + "\n"


def packages(lock: str, *, demo: bool) -> list[str]:
    """Return the arguments of uv and pip that name all packages, or those of the demo.

    Args:
        lock: a file with all versions and hashes.
        demo: only what the demo needs, in these versions.
    """
    if demo:
        return ["-r", str(OF_DEMO), "-c", lock]
    return ["--no-deps", "--require-hashes", "-r", lock]


def main() -> None:
    """Run all steps; exit status 1 and the reason if a required one failed."""
    pinned, rest = split(LOCK.read_text(), ["torch", "uv"])
    with tempfile.TemporaryDirectory(prefix="hpoq-set-up-") as scratch:
        requirements, uv = Path(scratch, "requirements.txt"), Path(scratch, "uv.txt")
        requirements.write_text(rest)
        uv.write_text(pinned["uv"])
        wanted = packages(str(requirements), demo="--demo" in sys.argv[1:])
        torch = pinned["torch"].split()[0]
        failed = SetUp(steps(torch, str(uv), wanted, f"{scratch}/layer"), say).run()
    for name, output in failed.items():
        say(f"could not install {name}: {output}")
    sys.exit(bool(failed))


def say(text: str) -> None:
    """Print a line to stderr."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
