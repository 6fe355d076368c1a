"""Print the path of the aws command; install it into an environment of its own if it is missing.

    python examples/demo/aws_cli.py

The aws CLI requires an exact version of botocore, so it cannot share the project's environment.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hpoq.local.environments import cache_folder, complete, digest

LOCK = Path(__file__).with_name("aws-cli.lock")


def aws_command() -> Path:
    """Return the path of an aws command that works."""
    found = shutil.which("aws")
    if found and _succeeds([found, "--version"]):  # a shim of pyenv may have no command behind it
        return Path(found)
    folder = cache_folder() / f"aws-cli-{digest(LOCK.read_text(), sys.version)}"
    complete(folder, _install)
    return folder / "bin" / "aws"


def _install(folder: Path) -> None:
    """Install the packages of the lock file with uv, or with pip where uv reaches no index."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python, packages = str(folder / "bin" / "python"), ["--quiet", "-r", str(LOCK)]
    if _succeeds([sys.executable, "-m", "uv", "pip", "install", "--python", python, *packages]):
        return
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", *packages]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.strip().splitlines()[-1:])
        raise SystemExit(f"cannot install the aws CLI ({reason}). Install it, so that `aws` works")


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.stdout.write(f"{aws_command()}\n")
