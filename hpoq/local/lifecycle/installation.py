"""The Python environments of the cloud and its functions, which all homes share.

They are in the user's cache folder under a digest of their content, so that a second home or
checkout uses them without another installation.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hpoq.local.environments import cache_folder, complete, digest, is_complete, python_of
from hpoq.local.errors import LocalCloudError

LOCK = Path(__file__).parents[1] / "requirements.lock"
_OUTPUT_SHOWN = 400  # characters


def cloud_python() -> Path:
    """Return the interpreter of an environment with the packages of requirements.lock.

    Raises:
        LocalCloudError: if the packages cannot be installed.
    """
    return _environment(_cloud_folder(), Path(sys.executable), install=True)


def empty_python(interpreter: Path) -> Path:
    """Return the interpreter of an environment without packages, for Lambda functions."""
    folder = cache_folder() / f"function-{digest(str(interpreter.resolve()))}"
    return _environment(folder, interpreter, install=False)


def is_installed() -> bool:
    """Return whether the cloud's packages are installed."""
    return is_complete(_cloud_folder())


def _cloud_folder() -> Path:
    return cache_folder() / f"cloud-{digest(LOCK.read_text(), sys.version, sys.prefix)}"


def _environment(folder: Path, interpreter: Path, *, install: bool) -> Path:
    complete(folder, partial(_create, interpreter=interpreter, install=install))
    return python_of(folder)


def _create(folder: Path, *, interpreter: Path, install: bool) -> None:
    pip: list[str] = [] if install else ["--without-pip"]
    _run("create a Python environment", [str(interpreter), "-m", "venv", *pip, str(folder)])
    if install and not _installed_with_uv(folder):
        command = [str(python_of(folder)), "-m", "pip", "install", "--quiet"]
        options = ["--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes"]
        _run("install the embedded cloud's packages", [*command, *options, "-r", str(LOCK)])


def _installed_with_uv(folder: Path) -> bool:
    """Install the packages with uv, which is faster than pip; return False if that is impossible.

    uv may be missing, or reach no index: it does not read pip's configuration.
    """
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
    command = [*uv, "--require-hashes", "--python", str(python_of(folder)), "-r", str(LOCK)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(purpose: str, command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        output = " ".join((done.stderr or done.stdout).split())[-_OUTPUT_SHOWN:]
        raise LocalCloudError(
            f"Cannot {purpose}: {output}",
            f"Check that `{command[0]} -m venv` works and that pip can reach a package index",
        )
