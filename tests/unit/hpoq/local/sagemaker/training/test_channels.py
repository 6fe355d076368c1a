"""Input channels as files, and the cache that they are copied from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hpoq.local.sagemaker.ports import StoredObject
from hpoq.local.sagemaker.training.channels import Inputs


@dataclass
class OneObject:
    """S3 with one object; work can be done while it is read."""

    meanwhile: list[Callable[[], None]] = field(default_factory=list)

    def check_read(self, bucket: str, key: str) -> None:
        """Allow it."""

    def read(self, bucket: str, key: str, to: Path) -> None:
        to.write_text("rows")
        while self.meanwhile:
            self.meanwhile.pop()()


def test_jobs_that_download_an_object_at_once_copy_the_same_cached_file(tmp_path: Path) -> None:
    s3 = OneObject()
    inputs = Inputs(objects=s3, cache=tmp_path / "cache")  # type: ignore[arg-type]
    first, second = (StoredObject(key="train/rows.csv", size=4, etag='"etag"') for _ in range(2))
    s3.meanwhile.append(lambda: inputs.copy("bucket", second, tmp_path / "faster"))
    inputs.copy("bucket", first, tmp_path / "slower")
    assert (tmp_path / "faster").read_text() == (tmp_path / "slower").read_text() == "rows"
    (cached,) = (each for each in (tmp_path / "cache").rglob("*") if each.is_file())
    assert cached.stat().st_mode & 0o777 == 0o444


# On AWS, each instance downloads its channels to a disk of its own.
def test_a_job_that_changes_an_input_changes_it_for_no_other_job(tmp_path: Path) -> None:
    inputs = Inputs(objects=OneObject(), cache=tmp_path / "cache")  # type: ignore[arg-type]
    rows = StoredObject(key="train/rows.csv", size=4, etag='"etag"')
    inputs.copy("bucket", rows, tmp_path / "first")
    inputs.copy("bucket", rows, tmp_path / "second")
    with (tmp_path / "first").open("a") as file:  # also as a user who is not root
        file.write(", changed")
    inputs.copy("bucket", rows, tmp_path / "third")
    assert (tmp_path / "second").read_text() == (tmp_path / "third").read_text() == "rows"
