"""Files of a home after a power cut, a full disk, or damage by others."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from hpoq.local.errors import DamagedFile, LocalCloudError
from hpoq.local.lifecycle import state_files
from hpoq.local.lifecycle.home import Home
from tests.support.running_cloud import ACCOUNT, RUNNING

OLD, NEW = '{"number": 1}', '{"number": 2}'
# What a file system may leave of a file after a power cut, and what no JSON is.
DAMAGE = {
    "empty": b"",
    "truncated": NEW[:7].encode(),
    "zeros": b"\0" * len(NEW),
    "half zeros": NEW[:7].encode() + b"\0" * 6,
    "another file": b"SQLite format 3\0\xff\xfe",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "state.json"
    state_files.write(path, OLD)
    state_files.write(path, NEW)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_file_that_was_never_written_has_no_content(tmp_path: Path) -> None:
    assert state_files.read(tmp_path / "state.json", json.loads) is None


def test_the_last_content_is_read_and_only_its_owner_can_read_it(file: Path) -> None:
    assert state_files.read(file, json.loads) == {"number": 2}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert state_files.damaged_files(file.parent) == set()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_the_content_before_takes_the_place_of_a_damaged_one_which_is_kept(
    file: Path, damage: bytes
) -> None:
    file.write_bytes(damage)

    assert state_files.read(file, json.loads) == {"number": 1}
    (kept,) = state_files.damaged_files(file.parent)
    assert kept.read_bytes() == damage
    assert file.read_text() == OLD


def test_a_second_damaged_file_does_not_replace_the_first(file: Path) -> None:
    for damage in (b"a", b"b"):
        file.write_bytes(damage)
        state_files.read(file, json.loads)
        state_files.write(file, NEW)
    kept = state_files.damaged_files(file.parent)
    assert {each.read_bytes() for each in kept} == {b"a", b"b"}


def test_a_missing_file_that_has_been_there_comes_back(file: Path) -> None:
    file.unlink()
    assert state_files.read(file, json.loads) == {"number": 1}
    assert file.read_text() == OLD


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_two_damaged_files_are_refused_by_name_and_left_as_they_are(
    file: Path, damage: bytes
) -> None:
    file.write_bytes(damage)
    (file.parent / state_files.PREVIOUS / file.name).write_bytes(damage)
    before = contents(file.parent)

    with pytest.raises(DamagedFile) as refused:
        state_files.read(file, json.loads)

    assert refused.value.path == file
    assert str(file) in str(refused.value)
    assert contents(file.parent) == before


@pytest.mark.parametrize("failing", ["fsync", "replace", "write"])
def test_after_a_failed_write_the_content_before_is_there_and_no_part_of_the_new_one(
    file: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "replace":
        monkeypatch.setattr(Path, "replace", full)
    else:
        monkeypatch.setattr(os, {"fsync": "fsync", "write": "open"}[failing], full)
    with pytest.raises(OSError, match="No space left"):
        state_files.write(file, '{"number": 3}')
    monkeypatch.undo()

    assert state_files.read(file, json.loads) == {"number": 2}
    assert not list(file.parent.glob("state.json.new"))


def test_content_is_on_the_disk_before_its_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise ext4 and others may store an empty file under the name after a power cut."""
    steps: list[str] = []
    sync, rename = os.fsync, Path.replace

    def syncing(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content"
        steps.append(f"sync {kind}")
        sync(descriptor)

    def renaming(path: Path, target: Path) -> Path:
        if target == file:
            steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", renaming)
    state_files.write(file, OLD)
    assert steps == ["sync content", "rename", "sync folder"]


def test_a_file_system_without_links_keeps_a_copy(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    state_files.write(file, '{"number": 3}')
    file.write_text("")
    assert state_files.read(file, json.loads) == {"number": 2}


def test_the_account_of_a_home_survives_a_torn_file(tmp_path: Path) -> None:
    home = Home(tmp_path / ".hpoq")
    home.create()
    home.store_account(ACCOUNT)
    home.store_account(ACCOUNT)
    (home.path / "account.json").write_bytes(b"")

    assert home.account() == ACCOUNT
    assert home.damaged() == {home.path / "account.json.damaged"}


def test_a_damaged_record_of_the_last_run_is_refused_by_name(tmp_path: Path) -> None:
    """It names the processes of the last run, and the record of an earlier run names others."""
    home = Home(tmp_path / ".hpoq")
    home.create()
    home.store_running(RUNNING)
    home.store_running(RUNNING)
    (home.path / "cloud.json").write_text('{"pid": ')

    with pytest.raises(DamagedFile, match=r"cloud\.json is damaged"):
        home.last_run()


def test_a_full_disk_is_one_line_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    home = Home(tmp_path / ".hpoq")
    home.create()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LocalCloudError) as refused:
        home.store_account(ACCOUNT)
    assert str(refused.value) == (
        f"{home.path / 'account.json'} could not be written (No space left on device). "
        "Its last content is kept. Free space on this disk, or see to the permissions"
    )
