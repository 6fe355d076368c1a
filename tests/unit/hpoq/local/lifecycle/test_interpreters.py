"""Finding interpreters, and creating environments for the cloud and its functions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpoq.local.errors import LocalCloudError
from hpoq.local.lifecycle import installation, interpreters


@pytest.fixture(autouse=True)
def _clear_cache() -> None:
    interpreters.find.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPOQ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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


def test_functions_get_an_environment_without_packages(cache: Path) -> None:
    python = installation.empty_python(Path(sys.executable))

    asked = [python, "-c", "import importlib.util as u; print(u.find_spec('boto3'))"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert said == "None"
    assert cache in python.parents
    assert installation.empty_python(Path(sys.executable)) == python


def test_a_broken_environment_is_replaced(cache: Path) -> None:
    python = installation.empty_python(Path(sys.executable))
    python.unlink()

    assert installation.empty_python(Path(sys.executable)).exists()


@pytest.mark.usefixtures("cache")
def test_a_failed_installation_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"{tmp_path}/no-such-package.whl\n")
    monkeypatch.setattr(installation, "LOCK", lock)

    assert not installation.is_installed()
    with pytest.raises(LocalCloudError) as caught:
        installation.cloud_python()
    assert "\n" not in str(caught.value)
    assert "install the embedded cloud's packages" in str(caught.value)
    assert "no-such-package" in str(caught.value)
    assert not installation.is_installed()


def test_every_package_of_the_cloud_is_pinned_exactly() -> None:
    lines = installation.LOCK.read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]

    assert "ministack==1.5.33" in packages
    assert all("==" in line for line in packages)
