"""The Python environments of the cloud and its functions, which all homes share.

They are in the user's cache folder under a digest of their content, so that a second home or
checkout uses them without another installation.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hpoq.local.errors import LocalCloudError

LOCK = Path(__file__).parents[1] / "requirements.lock"
VARIABLE = "HPOQ_CACHE"
_READY = "ready"
_OUTPUT_SHOWN = 400  # characters


def cloud_python() -> Path:
    """Return the interpreter of an environment with the packages of requirements.lock.

    Raises:
        LocalCloudError: if the packages cannot be installed.
    """
    digest = _digest(LOCK.read_text(), sys.version, sys.prefix)
    return _environment(f"cloud-{digest}", Path(sys.executable), install=True)


def empty_python(interpreter: Path) -> Path:
    """Return the interpreter of an environment without packages, for Lambda functions."""
    digest = _digest(str(interpreter.resolve()))
    return _environment(f"function-{digest}", interpreter, install=False)


def is_installed() -> bool:
    """Return whether the cloud's packages are installed."""
    digest = _digest(LOCK.read_text(), sys.version, sys.prefix)
    return (_cache() / f"cloud-{digest}" / _READY).exists()


def _environment(name: str, interpreter: Path, *, install: bool) -> Path:
    folder = _cache() / name
    python = folder / "bin" / "python"
    with _one_at_a_time(folder):
        if not (folder / _READY).exists() or not python.exists():
            _create(folder, interpreter, install=install)
    return python


def _create(folder: Path, interpreter: Path, *, install: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # the remains of an interrupted installation
    pip: list[str] = [] if install else ["--without-pip"]
    _run("create a Python environment", [str(interpreter), "-m", "venv", *pip, str(folder)])
    if install:
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        options = ["--disable-pip-version-check", "--no-input", "--no-deps"]
        _run("install the embedded cloud's packages", [*command, *options, "-r", str(LOCK)])
    (folder / _READY).touch()


def _run(purpose: str, command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        output = " ".join((done.stderr or done.stdout).split())[-_OUTPUT_SHOWN:]
        raise LocalCloudError(
            f"Cannot {purpose}: {output}",
            f"Check that `{command[0]} -m venv` works and that pip can reach a package index",
        )


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(VARIABLE) or Path(base) / "hpoq")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
