"""Tests of the source of a script: where it is, and what a search depends on."""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path

import pytest

from credit_default.container import TrainingFailed
from script_search.source import digest, source_of, unpacked
from tests.support.hostile_archives import REFUSED


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "own.py").write_text("print('auc=1')")
    return folder


def channel_of(code: Path, name: str = "script") -> dict[str, str]:
    channel = code.parent / name
    channel.mkdir()
    with tarfile.open(channel / "archive.tar.gz", "w:gz") as archive:
        archive.add(code, arcname=".")
    return {"SM_CHANNEL_SCRIPT": str(channel)}


def test_the_channel_brings_an_archive_that_each_host_unpacks(code: Path) -> None:
    environ = channel_of(code)
    source = source_of(None, environ)
    assert (unpacked(source, environ) / "own.py").read_text() == "print('auc=1')"
    assert unpacked(source, environ) == unpacked(source, environ)


@pytest.mark.parametrize("by", ["another user", "a link"])
def test_code_that_another_user_put_into_the_temporary_folder_is_not_run(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """The name of the folder can be guessed, and users share the temporary folder."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    environ = channel_of(code)
    ours = unpacked(source_of(None, environ), environ)
    forget_what_was_unpacked(environ)
    if by == "a link":
        ours.rename(tmp_path / "elsewhere")
        ours.symlink_to(tmp_path / "elsewhere")
    else:
        monkeypatch.setattr(os, "getuid", lambda: 4321)
        ours = ours.rename(scratch / f"hpoq-source-4321-{ours.name.rpartition('-')[2]}")

    with pytest.raises(TrainingFailed, match=f"{ours.name} is not a folder of yours. Remove it"):
        unpacked(source_of(None, environ), environ)


def forget_what_was_unpacked(environ: dict[str, str]) -> None:
    """Change the time of an archive, as if another process unpacked it."""
    os.utime(Path(environ["SM_CHANNEL_SCRIPT"]) / "archive.tar.gz", (0, 0))


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_a_hostile_archive_of_a_source_is_one_line_and_leaves_nothing(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, channel = tmp_path / "scratch", tmp_path / "channel"
    scratch.mkdir()
    channel.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    (channel / "archive.tar.gz").write_bytes(content)
    environ = {"SM_CHANNEL_SCRIPT": str(channel)}
    with pytest.raises(TrainingFailed) as refused:
        unpacked(source_of(None, environ), environ)
    assert "\n" not in str(refused.value)
    assert [*scratch.iterdir()] == []
    assert {each.name for each in tmp_path.iterdir()} == {"scratch", "channel"}


def test_without_a_channel_the_bundled_scripts_are_the_source() -> None:
    assert (unpacked(source_of(None, {}), {}) / "train_cpu.py").is_file()


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"--source .*/nowhere: no such folder or archive"):
        unpacked(source_of(str(tmp_path / "nowhere")), {})


def test_a_search_depends_on_code_and_data_and_not_on_results(code: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("1,2")
    other = tmp_path / "train"
    other.mkdir()
    (other / "part.csv").write_text("3,4")
    environ, fixed = {"SM_CHANNEL_TRAIN": str(other)}, {"data": str(data), "depth": "3"}
    before = digest(str(code), fixed, environ)
    (code / "model.txt").write_text("a result")
    assert digest(str(code), fixed, environ) == before
    found = {before}
    for file in (data, other / "part.csv", code / "own.py"):
        file.write_text(file.read_text().replace("1", "9").replace("3", "9"))
        found.add(digest(str(code), fixed, environ))
    assert len(found) == 4
