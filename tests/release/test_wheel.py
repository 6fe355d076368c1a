"""The wheel has every file of the packages and is the same in every build."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tools import wheel
from tools.wheel import EPOCH, FILE_MODE, PACKAGED, ROOT, copy_versioned

NOT_PACKAGED = {".in"}  # sources of the lock files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel.build(tmp_path_factory.mktemp("first"))


def test_two_builds_are_equal_byte_for_byte_under_any_umask(built: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        again = wheel.build(tmp_path)
    finally:
        os.umask(before)
    assert again.read_bytes() == built.read_bytes()


def test_files_have_the_time_that_reproducible_builds_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EPOCH, "1600000000")  # 2020-09-13 12:26:40 UTC
    with zipfile.ZipFile(wheel.build(tmp_path)) as archive:
        times = {each.date_time for each in archive.infolist()}
    assert times == {(2020, 9, 13, 12, 26, 40)}


def test_every_versioned_file_of_the_packages_is_in_the_wheel(built: Path) -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", *PACKAGED[:2]],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    expected = {
        each.removeprefix("lambdas/") for each in listed if Path(each).suffix not in NOT_PACKAGED
    }
    with zipfile.ZipFile(built) as archive:
        packaged = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packaged == expected


def test_only_versioned_files_are_copied_with_one_mode(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "hpoq").mkdir(parents=True)
    for name in ("hpoq/one.py", "hpoq/deleted.py", "pyproject.toml"):
        (project / name).write_text("")
    subprocess.run(["git", "init", "-q", project], check=True)
    subprocess.run(["git", "-C", project, "add", "."], check=True)
    (project / "hpoq" / "one.py").chmod(0o660)
    (project / "hpoq" / "deleted.py").unlink()
    (project / "hpoq" / "unknown.py").write_text("")
    copy_versioned(project, tmp_path / "copy")
    copied = [path for path in sorted((tmp_path / "copy").rglob("*")) if path.is_file()]
    assert [path.name for path in copied] == ["one.py", "pyproject.toml"]
    assert {path.stat().st_mode & 0o777 for path in copied} == {FILE_MODE}


def test_outside_a_clone_one_line_says_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "LICENSE", tmp_path)
    with pytest.raises(SystemExit, match="Build from a clone of the repository") as ended:
        copy_versioned(tmp_path, tmp_path / "copy")
    assert len(str(ended.value).splitlines()) == 1
