from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from infra.sdk_layer import build_module


@pytest.fixture
def build() -> ModuleType:
    return build_module()


def test_the_fingerprint_follows_lock_architecture_and_version(build: ModuleType) -> None:
    prints = {build.fingerprint(a, p) for a in ("x86_64", "aarch64") for p in ("3.13", "3.14")}
    assert len(prints) == 4


def test_without_the_interpreter_the_build_stops_and_says_what_helps(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    with pytest.raises(SystemExit, match=r"python3.99 not found.* python_version"):
        build.build(tmp_path / "out", "x86_64", "3.99")


def test_above_the_limit_the_build_fails(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build, "LIMIT_BYTES", 10)
    monkeypatch.setattr(build, "install_wheels", lambda site, *_: _write(site))
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(SystemExit, match="Lambda allows 10"):
        build.build(tmp_path / "out", "x86_64", own)


def test_two_builds_are_identical_and_carry_unchecked_bytecode(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "install_wheels", lambda site, *_: _write(site))
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    trees = []
    for name in ("a", "b"):
        monkeypatch.setattr(build, "CACHE", tmp_path / f"cache-{name}")
        build.build(tmp_path / name, "x86_64", own)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        trees.append([(p.relative_to(tmp_path / name), p.read_bytes()) for p in files])
    assert trees[0] == trees[1]
    (bytecode,) = [content for path, content in trees[0] if path.suffix == ".pyc"]
    assert bytecode[4:8] == b"\x01\0\0\0"  # PEP 552: hash-based, unchecked


def test_of_two_builds_at_once_the_slower_takes_what_the_quicker_has_kept(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    seen: list[list[str]] = []

    def install(site: Path, *_: str) -> None:
        _write(site)
        if not seen:  # while the first builds, a second one begins and ends
            seen.append([path.name for path in (tmp_path / "cache").iterdir()])
            build.build(tmp_path / "second", "x86_64", own)

    monkeypatch.setattr(build, "install_wheels", install)
    build.build(tmp_path / "first", "x86_64", own)

    assert seen == [[]], "the cache holds whole layers only"
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert (tmp_path / "first/python/module.py").exists()
    assert (tmp_path / "second/python/module.py").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "first", "second"]


def _write(site: Path) -> None:
    site.mkdir(parents=True)
    (site / "module.py").write_text("x = 1\n")
    (site / "module.pyi").write_text("x: int\n")
