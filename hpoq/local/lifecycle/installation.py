"""The Python environments that the cloud and its functions run in, made once and shared.

They lie in the user's cache folder under the digest of what they hold, so that a second
home, or a second checkout, starts at once.
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
_TAIL = 400


def cloud_python() -> Path:
    """The interpreter of an environment that holds what requirements.lock names.

    Raises:
        LocalCloudError: the packages cannot be installed.
    """
    digest = _digest(LOCK.read_text(), sys.version, sys.prefix)
    return _environment(f"cloud-{digest}", Path(sys.executable), install=True)


def empty_python(interpreter: Path) -> Path:
    """An environment of ``interpreter`` that holds nothing, as a Lambda function expects it."""
    digest = _digest(str(interpreter.resolve()))
    return _environment(f"function-{digest}", interpreter, install=False)


def is_installed() -> bool:
    """Whether the next ``cloud_python`` will be quick."""
    digest = _digest(LOCK.read_text(), sys.version, sys.prefix)
    return (_cache() / f"cloud-{digest}" / _READY).exists()


def _environment(name: str, interpreter: Path, *, install: bool) -> Path:
    folder = _cache() / name
    python = folder / "bin" / "python"
    with _one_at_a_time(folder):
        if not (folder / _READY).exists() or not python.exists():
            _make(folder, interpreter, install=install)
    return python


def _make(folder: Path, interpreter: Path, *, install: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted attempt left
    pip: list[str] = [] if install else ["--without-pip"]
    _run("make a Python environment", [str(interpreter), "-m", "venv", *pip, str(folder)])
    if install:
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        options = ["--disable-pip-version-check", "--no-input", "--no-deps"]
        _run("install the embedded cloud's packages", [*command, *options, "-r", str(LOCK)])
    (folder / _READY).touch()


def _run(purpose: str, command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-_TAIL:]
        raise LocalCloudError(
            f"Cannot {purpose}: {said}",
            f"See that `{command[0]} -m venv` works and that pip reaches a package index",
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
