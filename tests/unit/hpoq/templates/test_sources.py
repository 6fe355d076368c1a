"""The archive of a template's code: complete, small and equal for equal files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from hpoq.errors import UnreadableFile
from hpoq.templates import sources
from hpoq.templates.sources import archive_of, key_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train.py", "requirements.txt", "lib/a.py", ".git/x", "__pycache__/train.pyc"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    return tmp_path


def names(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        return packed.getnames()


def test_a_folder_is_packed_without_hidden_and_compiled_files(folder: Path) -> None:
    packed = archive_of(folder, "train.py")
    assert names(packed) == ["lib/a.py", "requirements.txt", "train.py"]
    (folder / "train.py").touch()
    assert archive_of(folder, "train.py") == packed
    assert key_of("fraud", packed).startswith("teams/fraud/code/")
    (folder / "train.py").write_text("changed")
    assert key_of("fraud", archive_of(folder, "train.py")) != key_of("fraud", packed)


def test_a_script_is_packed_with_its_requirements(folder: Path) -> None:
    packed = archive_of(folder / "train.py", "train.py")
    assert names(packed) == ["train.py", "requirements.txt"]


def test_what_cannot_be_packed_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreadableFile, match=r"contains no other\.py"):
        archive_of(folder, "other.py")
    with pytest.raises(UnreadableFile, match="no such file or folder"):
        archive_of(folder / "missing", "train.py")
    monkeypatch.setattr(sources, "MAX_BYTES", 10)
    with pytest.raises(UnreadableFile, match="of code exceed"):
        archive_of(folder, "train.py")
