"""Finding interpreters, and creating environments for the cloud and its functions."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from hpoq.local.lifecycle import installation, interpreters


@pytest.fixture(autouse=True)
def _clear_cache() -> None:
    interpreters.find.cache_clear()


def fake_python(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def test_this_interpreter_is_found_for_its_own_version() -> None:
    assert interpreters.find(interpreters.own_version()) == Path(sys.executable)


def test_a_shim_of_another_version_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_python(tmp_path / "bin" / "python3.99", "3.98")
    real = fake_python(tmp_path / "pyenv" / "versions" / "3.99.1" / "bin" / "python3.99", "3.99")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))

    assert interpreters.find("3.99") == real


def test_a_missing_version_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert interpreters.find("3.77") is None
    monkeypatch.setattr(interpreters, "FUNCTION_VERSION", "3.77")
    assert set(interpreters.for_functions()) == {f"python{interpreters.own_version()}"}


def test_every_package_of_the_cloud_is_pinned_exactly() -> None:
    requirements = re.split(r"\n(?=\S)", installation.LOCK.read_text())
    packages = [each for each in requirements if not each.startswith("#")]

    assert any(each.startswith("ministack==1.5.33 ") for each in packages)
    assert all("==" in each and "--hash=sha256:" in each for each in packages)
