"""The packages of requirements.txt beside a script, in environments that training jobs share.

SageMaker's training toolkit installs them in the container before it starts a Python script:
https://github.com/aws/sagemaker-training-toolkit, README, "Train a model". Here, each list of
packages is installed once, into an environment that also has the packages of the user's Python.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from hpoq.local.environments import complete, digest, python_of
from hpoq.local.sagemaker.training.channels import ContainerError
from hpoq.local.sagemaker.training.programs.environment import inherited

FILE = "requirements.txt"
POLL_INTERVAL = 0.1  # seconds between two looks at pip
# A line with one of these refers to another file: `-r other.txt`, `./package`, `file:wheel.whl`.
_FILES = re.compile(r"^\s*(-r|-c|-e|--requirement|--constraint|--editable|\.)|\bfile:|\.(whl|gz)\b")
_SOURCE = "source"  # folder of an environment with the files that pip reads
_ERROR = re.compile(r"^ERROR: (.+)", re.MULTILINE)
# Prints what the packages of an interpreter depend on.
_LOOK = """
import importlib.util, json, site, sys
folders = site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])
print(json.dumps([sys.version, folders, importlib.util.find_spec("pip") is not None]))
"""


@dataclass(frozen=True)
class _Installed:
    """The packages of the user's Python."""

    version: str
    folders: Sequence[Path]
    has_pip: bool

    @property
    def state(self) -> str:
        """A text that changes when a package is installed or removed."""
        times = [folder.stat().st_mtime_ns for folder in self.folders if folder.is_dir()]
        return json.dumps([self.version, list(map(str, self.folders)), times])


@dataclass(frozen=True, kw_only=True)
class TrainingPython:
    """The Python of training scripts, and its environments with further packages.

    Args:
        interpreter: the user's Python.
        environments: the folder of the environments.
        pip: variables with the user's settings of pip, such as the package index.
    """

    interpreter: Path
    environments: Path
    pip: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _installed(self) -> _Installed:
        command = [str(self.interpreter), "-c", _LOOK]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=inherited())
        version, folders, has_pip = json.loads(done.stdout)
        return _Installed(version, [Path(each) for each in folders], has_pip)

    def with_requirements(self, file: Path, job: InstallingJob) -> Path:
        """Return an interpreter that has the packages of a requirements file.

        Training jobs that need the same packages at once wait for one installation.

        Args:
            file: the requirements file, in the folder of the script.
            job: the training job that needs them.

        Raises:
            ContainerError: pip failed, or the training job is to end.
        """
        parts = [path.relative_to(file.parent).as_posix() for path in _files(file)]
        contents = [path.read_bytes() for path in _files(file)]
        isolated = "isolated" if job.isolated else ""
        name = digest(self._installed.state, isolated, file.name, *parts, *contents)
        folder = self.environments / f"training-{name}"
        if not complete(folder, partial(self._create, file=file, job=job), job.check):
            job.write(f"The packages of {file.name} are installed in {folder}\n")
        return python_of(folder)

    def _create(self, folder: Path, *, file: Path, job: InstallingJob) -> None:
        without_pip = ["--without-pip"] if self._installed.has_pip else []
        self._run(
            [str(self.interpreter), "-m", "venv", *without_pip, str(folder)], job, file, folder
        )
        python = python_of(folder)
        (packages,) = folder.glob("lib/python*/site-packages")
        # Directories that follow the environment's own, so that its packages come first.
        (packages / "user_python.pth").write_text(
            "".join(
                f"import site; site.addsitedir({str(each)!r})\n" for each in self._installed.folders
            )
        )
        for path in _files(file):
            copied = folder / _SOURCE / path.relative_to(file.parent)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
        index = ["--no-index"] if job.isolated else []
        options = ["--disable-pip-version-check", "--no-input", *index, "-r", file.name]
        self._run([str(python), "-m", "pip", "install", *options], job, file, folder / _SOURCE)

    def _run(self, command: Sequence[str], job: InstallingJob, file: Path, folder: Path) -> None:
        """Run a step of the installation; its output goes to the log of the training job."""
        folder.mkdir(parents=True, exist_ok=True)
        job.write(" ".join(command) + "\n")
        # Network isolation: pip finds no index in the settings of the user either.
        settings = {"PIP_CONFIG_FILE": os.devnull} if job.isolated else dict(self.pip)
        start = job.log.stat().st_size
        with job.log.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=inherited() | settings | {"PIP_USER": "0"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        while process.poll() is None:
            try:
                job.check()
            except ContainerError:
                process.kill()
                process.wait()
                raise
            time.sleep(POLL_INTERVAL)
        if process.returncode:
            output = job.log.read_bytes()[start:].decode(errors="replace")
            raise ContainerError(_reason(file.name, output, isolated=job.isolated))


@dataclass(frozen=True, kw_only=True)
class InstallingJob:
    """What the installation of packages needs of the training job that causes it.

    Args:
        log: the file of its output.
        isolated: whether it has no network.
        is_to_end: returns whether it is to end before the installation has ended.
    """

    log: Path
    isolated: bool = False
    is_to_end: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """Raise ``ContainerError`` if the training job is to end."""
        if self.is_to_end():
            raise ContainerError("the training job ended while packages were installed")

    def write(self, text: str) -> None:
        """Write a text to its log."""
        with self.log.open("a") as file:
            file.write(text)


def _files(requirements: Path) -> list[Path]:
    """Return the files that pip reads: all files of the script's folder if a line names one."""
    lines = requirements.read_text(errors="replace").splitlines()
    if not any(_FILES.search(line.partition("#")[0]) for line in lines):
        return [requirements]
    found = (path for path in requirements.parent.rglob("*") if path.is_file())
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _reason(name: str, output: str, *, isolated: bool) -> str:
    """Return the failure reason, in the form of the training toolkit.

    The toolkit names its error ``InstallRequirementsError`` (sagemaker_training/errors.py).
    """
    errors = _ERROR.findall(output)
    lines = output.strip().splitlines()
    said = (errors or lines or ["pip printed nothing"])[-1].strip().rstrip(".")
    fix = (
        "A job with network isolation cannot download packages: add wheels to the source"
        if isolated
        else "Check the file, and that pip on this machine reaches a package index"
    )
    return f"AlgorithmError: InstallRequirementsError: {name}: {said}. {fix}"
