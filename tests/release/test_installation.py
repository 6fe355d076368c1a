"""The environments that the embedded cloud installs for itself."""

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
