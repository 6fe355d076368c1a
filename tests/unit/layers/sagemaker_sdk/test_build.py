from __future__ import annotations

import os
import subprocess
import sys
import zipfile
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


def test_every_wheel_of_the_layer_must_have_a_hash_of_the_lock(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("subprocess.run", run)
    build.install_wheels(tmp_path, "x86_64", "3.13")
    (command,) = ran
    assert {"--require-hashes", "--no-deps", "--only-binary"} < set(command)
    assert command[command.index("--requirements") + 1].endswith("requirements.lock")


def test_without_the_interpreter_the_build_stops_and_says_what_helps(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    with pytest.raises(SystemExit, match=r"python3.99 not found.* python_version"):
        build.build(tmp_path / "out", "x86_64", "3.99")


UV = """
import pathlib, sys
folder = pathlib.Path(__file__).parents[1]
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
python = folder / "python"
if "install" in sys.argv:
    {install}
elif python.exists():
    print(python)
else:
    sys.exit(2)
"""
FETCHES = 'python.write_text("#!/bin/sh\\necho 3.98\\n"); python.chmod(0o755)'
IS_OFFLINE = (
    'sys.exit("error: Failed to install cpython-3.98\\n  cause: not needed\\n  cause: dns error")'
)


def with_uv(folder: Path, monkeypatch: pytest.MonkeyPatch, install: str) -> Path:
    """Put a program in the place of uv; return the file that lists its calls."""
    package = folder / "uv"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(UV.format(install=install))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder / "calls"


def test_a_missing_interpreter_is_fetched_once_and_said(
    build: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = with_uv(tmp_path, monkeypatch, FETCHES)

    fetched = build.find_interpreter("3.98")

    assert fetched == str(tmp_path / "python")
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "layer: python3.98 not found; fetching it with uv, once",
        f"layer: fetched {fetched}",
    ]
    assert build.find_interpreter("3.98") == fetched, "the second build finds it"
    assert [line for line in calls.read_text().splitlines() if "install" in line] == [
        "python install --no-bin --no-progress 3.98"
    ]


def test_offline_one_line_says_what_is_missing_and_what_helps(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_uv(tmp_path, monkeypatch, IS_OFFLINE)
    with pytest.raises(SystemExit) as ended:
        build.find_interpreter("3.98")
    assert str(ended.value) == (
        "layer: python3.98 not found, which is needed to compile, and uv could not fetch it "
        "(error: Failed to install cpython-3.98; cause: dns error). Install it, set "
        "HPOQ_LAYER_PYTHON to its path, or deploy to the embedded cloud with -c python_version=X.Y"
    )


def test_an_interpreter_of_this_machine_is_not_fetched(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = with_uv(tmp_path, monkeypatch, FETCHES)
    given = tmp_path / "given"
    given.write_text("#!/bin/sh\necho 3.98\n")
    given.chmod(0o755)
    monkeypatch.setenv("HPOQ_LAYER_PYTHON", str(given))
    assert build.find_interpreter("3.98") == str(given)
    assert not calls.exists()


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("install", ("--no-bin", "--no-progress")),
        ("find", ("--managed-python", "--no-python-downloads", "--no-project")),
    ],
)
def test_the_pinned_uv_knows_the_options(command: str, options: tuple[str, ...]) -> None:
    asked = [sys.executable, "-m", "uv", "python", command, "--help"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answer = subprocess.run(asked, capture_output=True, text=True, check=True, env=environment)
    assert set(options) <= set(answer.stdout.split())


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
    archives = {file.read_bytes() for file in tmp_path.glob("cache-*/*.zip")}
    assert len(archives) == 1
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


def test_the_archive_is_the_only_file_and_contains_what_the_folder_would(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build, "install_wheels", lambda site, *_: _write(site))
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    (tmp_path / "out").mkdir()
    archive = build.build_archive(tmp_path / "out", "x86_64", own)
    assert list((tmp_path / "out").iterdir()) == [archive]
    build.build(tmp_path / "folder", "x86_64", own)
    in_folder = [p for p in (tmp_path / "folder").rglob("*") if p.is_file()]
    with zipfile.ZipFile(archive) as layer:
        assert {tmp_path / "folder" / each for each in layer.namelist()} == set(in_folder)
        assert "python/module.py" in layer.namelist()


def _write(site: Path) -> None:
    site.mkdir(parents=True)
    (site / "module.py").write_text("x = 1\n")
    (site / "module.pyi").write_text("x: int\n")
