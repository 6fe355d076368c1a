"""Input channels as files, and the cache that all training jobs share."""

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


def test_jobs_that_download_an_object_at_once_link_the_same_cached_file(tmp_path: Path) -> None:
    s3 = OneObject()
    inputs = Inputs(objects=s3, cache=tmp_path / "cache")  # type: ignore[arg-type]
    first, second = (StoredObject(key="train/rows.csv", size=4, etag='"etag"') for _ in range(2))
    s3.meanwhile.append(lambda: inputs.link("bucket", second, tmp_path / "faster"))
    inputs.link("bucket", first, tmp_path / "slower")
    assert (tmp_path / "faster").samefile(tmp_path / "slower"), "no job replaced the file"
    (cached,) = (each for each in (tmp_path / "cache").rglob("*") if each.is_file())
    assert cached.samefile(tmp_path / "faster")
