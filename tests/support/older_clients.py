"""Version 2 of the SageMaker SDK and the `aws` command, in an environment of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# The two versions of the SDK are incompatible with each other.
OLDER = ("sagemaker==2.257.7", "awscli==1.46.3")
# What hpoq needs besides them, in the versions that they allow.
FOR_HPOQ = ("pydantic", "rich", "tenacity", "typer")


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the older clients in about a minute; return the folder of their commands."""
    folder = tmp_path_factory.mktemp("older")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *OLDER, *FOR_HPOQ]
    subprocess.run(install, check=True, capture_output=True)
    return folder / "bin"
