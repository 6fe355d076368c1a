"""What becomes of hostile archives and object keys where a model is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpoq.errors import NotReachable
from hpoq.results.models import download
from tests.support.hostile_archives import KEYS, MODEL_OF, REFUSED, UNPACKED, from_s3


def test_there_are_sixty_of_them() -> None:
    assert len({*REFUSED, *UNPACKED, *KEYS}) == len(REFUSED) + len(UNPACKED) + len(KEYS) >= 60


@pytest.fixture
def outside(tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """Return a function that reads everything beside the folder of the model."""
    (tmp_path / "secret.txt").write_text("secret")

    def read() -> dict[str, bytes]:
        beside = [path for path in tmp_path.rglob("*") if "model" not in path.parts]
        return {str(path): path.read_bytes() for path in beside if path.is_file()}

    return read


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_a_hostile_archive_is_refused_in_one_line_and_writes_nothing_outside(
    content: bytes, tmp_path: Path, outside: Callable[[], dict[str, bytes]]
) -> None:
    before = outside()
    client = from_s3("s3://b/model.tar.gz", {"model.tar.gz": content})
    with pytest.raises(NotReachable, match=r"model s3://b/model\.tar\.gz: cannot be") as refused:
        download(client, MODEL_OF, tmp_path / "model")
    assert "\n" not in str(refused.value)
    assert outside() == before
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize(("content", "names"), UNPACKED.values(), ids=UNPACKED)
def test_other_archives_are_unpacked_below_the_folder_without_special_rights(
    content: bytes, names: set[str], tmp_path: Path, outside: Callable[[], dict[str, bytes]]
) -> None:
    before = outside()
    client = from_s3("s3://b/model.tar.gz", {"model.tar.gz": content})
    folder = download(client, MODEL_OF, tmp_path / "model")
    assert {path.name for path in folder.iterdir()} == names
    assert all(path.stat().st_mode & 0o7022 == 0 for path in folder.iterdir())
    assert outside() == before


@pytest.mark.parametrize(("key", "downloaded"), KEYS.items())
def test_object_keys_become_files_below_the_folder_only(
    key: str, downloaded: bool, tmp_path: Path, outside: Callable[[], dict[str, bytes]]
) -> None:
    before = outside()
    folder = download(from_s3("s3://b/m/", {key: b"x"}), MODEL_OF, tmp_path / "model")
    assert any(path.is_file() for path in folder.rglob("*")) is downloaded
    assert outside() == before
