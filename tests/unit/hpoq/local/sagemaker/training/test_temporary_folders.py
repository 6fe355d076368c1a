"""The folders that a training job has in the place of shared ones."""

from __future__ import annotations

from pathlib import Path

from hpoq.local.sagemaker.training.temporary_folders import TemporaryFolders


def test_each_job_has_folders_of_its_own_that_are_empty_and_end_with_it(tmp_path: Path) -> None:
    first, second = (TemporaryFolders(tmp_path / name) for name in ("first", "second"))
    assert not set(first.paths.values()) & set(second.paths.values())
    first.create()
    (place, *_) = (Path(each) for each in first.paths.values())
    assert place.stat().st_mode & 0o777 == 0o700
    (place / "left").touch()  # by a killed cloud
    again = TemporaryFolders(tmp_path / "first")
    again.create()
    assert list(place.iterdir()) == []
    again.delete()
    assert not any(Path(each).exists() for each in first.paths.values())


# sun_path in unix(7) has 108 bytes, and multiprocessing adds about 40 to the temporary folder.
def test_their_names_leave_space_for_unix_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 63) / ("b" * 63)
    assert all(len(Path(each).name) < 20 for each in TemporaryFolders(deep).paths.values())
