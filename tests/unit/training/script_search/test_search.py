"""Tests of how the model of a trial becomes the model of the search."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from script_search.search import unpack_model
from tests.support.hostile_archives import archive


def test_the_model_of_a_better_trial_replaces_the_one_before(tmp_path: Path) -> None:
    for name in ("first.pt", "second.pt"):
        unpack_model(archive((name, tarfile.REGTYPE, ""), packed=False), tmp_path / "model")
    assert [each.name for each in (tmp_path / "model").iterdir()] == ["second.pt"]


@pytest.mark.parametrize(
    "member",
    [
        ("../outside", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "/etc/passwd"),
        ("link", tarfile.SYMTYPE, "../../outside"),
        ("device", tarfile.CHRTYPE, ""),
    ],
)
def test_a_model_is_unpacked_into_its_folder_only(
    member: tuple[str, bytes, str], tmp_path: Path
) -> None:
    with pytest.raises(tarfile.FilterError):
        unpack_model(archive(member, packed=False), tmp_path / "model")
    assert [each.name for each in tmp_path.rglob("*")] == ["model"]
