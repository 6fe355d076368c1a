"""Tests of the packages that a script requires."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from credit_default.container import TrainingFailed
from script_search.requirements import packages_of


def test_a_script_without_requirements_or_with_installed_ones_needs_nothing(tmp_path: Path) -> None:
    assert packages_of(tmp_path) is None
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "requirements.txt").write_text("# of the model\npytest>=1\n\npackaging # any\n")
    assert packages_of(folder) is None


def test_requirements_that_pip_cannot_install_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pytest>=1\n./no-such-folder\n")
    with pytest.raises(TrainingFailed, match=r"pip cannot install requirements\.txt of the script"):
        packages_of(tmp_path)


def test_packages_that_another_user_put_into_the_temporary_folder_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.txt").write_text("no-such-package-of-a-script\n")
    digest = hashlib.sha256((tmp_path / "requirements.txt").read_bytes()).hexdigest()[:16]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    (tmp_path / f"hpoq-packages-4321-{digest}").mkdir()
    with pytest.raises(TrainingFailed, match="is not a folder of yours"):
        packages_of(tmp_path)


def test_packages_are_installed_once_per_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.txt").write_text("no-such-package-of-a-script\n")
    digest = hashlib.sha256((tmp_path / "requirements.txt").read_bytes()).hexdigest()[:16]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"hpoq-packages-{os.getuid()}-{digest}"
    folder.mkdir()
    assert packages_of(tmp_path) == folder
