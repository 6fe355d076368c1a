"""Tests of the folder that a search is saved in."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow.fs
import pytest

from ray_tune.storage import filesystem_of, is_saved

STATE = "experiment_state-2026-01-02_03-04-05.json"


def test_a_file_has_its_old_content_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / STATE
    path.write_bytes(b"old")
    filesystem = pickle.loads(pickle.dumps(filesystem_of(str(tmp_path))))
    with filesystem.open_output_stream(str(path)) as stream:
        stream.write(b"half")
        stream.flush()
        assert path.read_bytes() == b"old"
        stream.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert [each.name for each in tmp_path.iterdir()] == [STATE]


def test_files_copied_to_the_folder_replace_those_in_it(tmp_path: Path) -> None:
    new, saved = tmp_path / "new", tmp_path / "saved"
    for folder in (new, saved):
        folder.mkdir()
        (folder / STATE).write_text(folder.name)
    filesystem = filesystem_of(str(saved))
    pyarrow.fs.copy_files(str(new), str(saved), destination_filesystem=filesystem)
    assert {path.name: path.read_text() for path in saved.iterdir()} == {STATE: "new"}


def test_a_uri_keeps_the_filesystem_that_ray_chooses() -> None:
    assert filesystem_of("s3://bucket/search") is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], False),
        (["tuner.pkl"], False),  # the search was killed in its first second
        ([STATE], False),
        (["tuner.pkl", STATE], True),
        (["tuner.pkl", f".{STATE}.tmp"], False),
    ],
)
def test_a_search_is_saved_once_its_trials_are(
    tmp_path: Path, files: list[str], expected: bool
) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert is_saved(str(tmp_path)) == expected
    assert not is_saved(str(tmp_path / "missing"))
