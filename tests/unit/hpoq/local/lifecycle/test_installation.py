"""How packages are installed; tests/release/test_installation.py installs them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hpoq.local.lifecycle import installation

UV, PIP = ["-m", "uv"], ["-m", "pip"]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of an installation, none of which is executed; uv is missing."""
    commands: list[list[str]] = []

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(list(command))
        if "venv" in command:
            (Path(command[-1]) / "bin").mkdir(parents=True)
            (Path(command[-1]) / "bin" / "python").touch()
        return subprocess.CompletedProcess(command, command[1:3] == UV, "", "no module named uv")

    monkeypatch.setenv("HPOQ_CACHE", str(tmp_path))
    monkeypatch.setattr("subprocess.run", run)
    return commands


def test_every_package_of_the_cloud_must_have_a_hash_of_the_lock(ran: list[list[str]]) -> None:
    """pip: "--require-hashes: Require a hash to check each requirement against"."""
    python = installation.cloud_python()
    installing = [each for each in ran if "install" in each]
    assert [each[1:3] for each in installing] == [UV, PIP]
    for each in installing:
        assert "--require-hashes" in each
        assert "--no-deps" in each  # which the lock lists, too
        assert each[-2:] == ["-r", str(installation.LOCK)]
    assert str(python) in installing[0]
    assert installing[1][0] == str(python)
