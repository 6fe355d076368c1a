"""The packages that a script requires, which SageMaker's container installs before it starts it."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from credit_default.container import TrainingFailed
from script_search.source import is_ours

FILE = "requirements.txt"


@cache
def packages_of(code: Path) -> Path | None:
    """Return the folder of the packages that this Python lacks; None if it has all.

    They are installed once per host, beside this Python's own packages.

    Raises:
        TrainingFailed: pip cannot install them.
    """
    file = code / FILE
    if not file.is_file() or not _lacks(file.read_text()):
        return None
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"hpoq-packages-{os.getuid()}-{digest}"
    if is_ours(folder):
        return folder
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--target", str(partial), "-r", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(partial, ignore_errors=True)
        last = [*done.stderr.strip().splitlines(), "no reason given"][-1]
        raise TrainingFailed(f"pip cannot install {FILE} of the script: {last}")
    try:
        partial.rename(folder)
    except OSError:  # another trial has just installed them
        shutil.rmtree(partial, ignore_errors=True)
        if not is_ours(folder):
            raise
    return folder


def _lacks(text: str) -> bool:
    """Return whether a requirement is not installed; lines that pip alone understands count."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return any(not _is_installed(line) for line in lines if line)


def _is_installed(line: str) -> bool:
    try:
        wanted = Requirement(line)
        return metadata.version(wanted.name) in wanted.specifier
    except (InvalidRequirement, metadata.PackageNotFoundError):
        return False
