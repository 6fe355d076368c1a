"""What becomes of hostile archives and object keys where a model is downloaded."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, Entry, Status
from hpoq.errors import NotReachable
from hpoq.results.models import download
from tests.support.scheduling_scene import NOON

ENTRY = Entry(
    team="fraud", request_id="a", status=Status.COMPLETED, accepted_at=NOON,
    best=BestTrainingJob(name="t", objective=1.0, metric="auc", hyperparameters={}),
)  # fmt: skip
Member = tuple[str, bytes, str]  # name, type, and where a link points


def archive(*members: Member, mode: int = 0o644, packed: bool = True) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as file:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, target, mode
            content = b"content" if kind == tarfile.REGTYPE else b""
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return gzip.compress(raw.getvalue()) if packed else raw.getvalue()


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
GOOD = archive(("model.txt", FILE, ""))
# Each is refused in one line, or leaves files below the folder only.
REFUSED: dict[str, bytes] = {
    "empty": b"",
    "text": b"not an archive",
    "truncated gzip": GOOD[: len(GOOD) // 2],
    "a changed byte": GOOD[:20] + bytes([GOOD[20] ^ 0xFF]) + GOOD[21:],
    "truncated tar": archive(("model.txt", FILE, ""), packed=False)[:700],
    "gzip of text": gzip.compress(b"not an archive" * 100),
    "a page": b"<html>Access Denied</html>" * 50,
    "zip": b"PK\x03\x04" + b"\0" * 600,
    "bzip2 that is none": b"BZh9" + b"\0" * 600,
    "xz that is none": b"\xfd7zXZ\x00" + b"\0" * 600,
    "parent folder": archive(("../escaped.txt", FILE, "")),
    "parent of a folder": archive(("a/../../escaped.txt", FILE, "")),
    "link to the outside": archive(("out", LINK, "/etc")),
    "link to a parent": archive(("out", LINK, "..")),
    "file through a link": archive(("out", LINK, "../.."), ("out/escaped.txt", FILE, "")),
    "hard link to the outside": archive(("passwd", HARD, "/etc/passwd")),
    "hard link to a parent": archive(("x", HARD, "../secret.txt")),
    "device": archive(("null", tarfile.CHRTYPE, "")),
    "block device": archive(("sda", tarfile.BLKTYPE, "")),
    "pipe": archive(("pipe", tarfile.FIFOTYPE, "")),
    "a name that is too long": archive(("x" * 300, FILE, "")),
    "a file as a folder": archive(("a", FILE, ""), ("a/b", FILE, "")),
}
UNPACKED: dict[str, tuple[bytes, set[str]]] = {
    "good": (GOOD, {"model.txt"}),
    "gzip without its length": (GOOD[:-4], {"model.txt"}),
    "zeros, which end an archive": (b"\0" * 2_000, set()),
    "absolute name": (archive(("/model.txt", FILE, "")), {"model.txt"}),
    "set-user-id": (archive(("run", FILE, ""), mode=0o6777), {"run"}),
    "link inside": (archive(("a", FILE, ""), ("b", LINK, "a")), {"a", "b"}),
    "odd names": (archive(("a b;$(id)\n'.txt", FILE, "")), {"a b;$(id)\n'.txt"}),
    "two of one name": (archive(("a", FILE, ""), ("a", FILE, "")), {"a"}),
}


def from_s3(uri: str, objects: Mapping[str, bytes]) -> Any:
    """Return a client of a deployment whose model is there."""

    def write(_bucket: str, key: str, file: IO[bytes]) -> None:
        file.write(objects[key])

    def save(_bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(objects[key])

    def paginate(**_: str) -> list[dict[str, Any]]:
        return [{"Contents": [{"Key": key} for key in objects]}]

    s3 = SimpleNamespace(
        download_fileobj=write,
        download_file=save,
        get_paginator=lambda _: SimpleNamespace(paginate=paginate),
    )
    there = SimpleNamespace(service=lambda _: s3)
    return SimpleNamespace(model_uri=lambda _: uri, on=lambda _: there)


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
        download(client, ENTRY, tmp_path / "model")
    assert "\n" not in str(refused.value)
    assert outside() == before
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize(("content", "names"), UNPACKED.values(), ids=UNPACKED)
def test_other_archives_are_unpacked_below_the_folder_without_special_rights(
    content: bytes, names: set[str], tmp_path: Path, outside: Callable[[], dict[str, bytes]]
) -> None:
    before = outside()
    client = from_s3("s3://b/model.tar.gz", {"model.tar.gz": content})
    folder = download(client, ENTRY, tmp_path / "model")
    assert {path.name for path in folder.iterdir()} == names
    assert all(path.stat().st_mode & 0o7022 == 0 for path in folder.iterdir())
    assert outside() == before


# Keys of objects in a folder of a model, and whether they are downloaded. Keys may contain "..".
@pytest.mark.parametrize(
    ("key", "downloaded"),
    [
        ("m/a.txt", True),
        ("m/b/c.txt", True),
        ("m/../m/a.txt", False),
        ("m/../../escaped.txt", False),
        ("m/b/../../../escaped.txt", False),
        ("m//etc/passwd", False),
        ("m/folder/", False),
        ("m/a;$(id).txt", True),
        ("m/~/a.txt", True),
        ("m/C:\\a.txt", True),
    ],
)
def test_object_keys_become_files_below_the_folder_only(
    key: str, downloaded: bool, tmp_path: Path, outside: Callable[[], dict[str, bytes]]
) -> None:
    before = outside()
    folder = download(from_s3("s3://b/m/", {key: b"x"}), ENTRY, tmp_path / "model")
    assert any(path.is_file() for path in folder.rglob("*")) is downloaded
    assert outside() == before
