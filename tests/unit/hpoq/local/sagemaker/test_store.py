"""The file of jobs after a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpoq.local.errors import DamagedFile
from hpoq.local.sagemaker.store import Store

RECORD = {
    "HyperParameterTuningJobName": "a",
    "HyperParameterTuningJobStatus": "Completed",
    "CreationTime": 1.0,
    "LastModifiedTime": 1.0,
    "Filler": "x" * 50_000,  # several pages
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sagemaker" / "jobs.sqlite"
    store = Store(path)
    store.tuning_jobs.add(RECORD)
    store.close()
    (tmp_path / "sagemaker" / "jobs" / "a-001").mkdir(parents=True)
    return path


def reopened(file: Path) -> Store:
    return Store(file, file.parent / "jobs")


def test_a_whole_file_is_read(file: Path) -> None:
    assert reopened(file).tuning_jobs.all() == [RECORD]


@pytest.mark.parametrize(
    ("kept", "filler"), [(0, b""), (20_000, b""), (4_096, b"\0" * 30_000), (0, b"\0" * 50_000)]
)
def test_a_torn_file_is_refused_by_name_and_left_as_it_is(
    file: Path, kept: int, filler: bytes
) -> None:
    content = file.read_bytes()[:kept] + filler
    file.write_bytes(content)

    with pytest.raises(DamagedFile, match=r"jobs\.sqlite is damaged"):
        reopened(file)

    assert file.read_bytes() == content


def test_a_lost_file_of_a_cloud_with_training_jobs_is_refused(file: Path) -> None:
    file.unlink()
    with pytest.raises(DamagedFile, match="it is empty, although"):
        reopened(file)
    assert not file.exists()


def test_a_new_cloud_has_no_file_yet(tmp_path: Path) -> None:
    assert reopened(tmp_path / "sagemaker" / "jobs.sqlite").tuning_jobs.all() == []
