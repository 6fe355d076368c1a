"""Tests of the packages that a script requires."""

from __future__ import annotations

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
