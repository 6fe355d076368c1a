"""Hostile archives, names in archives and object keys, and what has to become of each."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from hpo_dispatcher.contract.entry import BestTrainingJob, Entry, Status
from tests.support.scheduling_scene import NOON

MODEL_OF = Entry(
    team="fraud", request_id="a", status=Status.COMPLETED, accepted_at=NOON,
    best=BestTrainingJob(name="t", objective=1.0, metric="auc", hyperparameters={}),
)  # fmt: skip
Member = tuple[str, bytes, str]  # name, type, and where a link points
BLOCK = 512


def archive(
    *members: Member, mode: int = 0o644, packed: bool = True, kind: int = tarfile.PAX_FORMAT
) -> bytes:
    """Return a tar archive."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=kind) as file:
        for name, type_, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = type_, target, mode
            content = b"content" if type_ == tarfile.REGTYPE else b""
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return gzip.compress(raw.getvalue()) if packed else raw.getvalue()


def pax(**header: str) -> bytes:
    """Return an archive whose file has other properties in its extended header."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as file:
        member = tarfile.TarInfo("model.txt")
        member.pax_headers = header
        file.addfile(member)
    return gzip.compress(raw.getvalue())


def claiming(size: int) -> bytes:
    """Return an archive whose only file claims to have so many bytes."""
    member = tarfile.TarInfo("model.txt")
    member.size = size
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + b"x" * BLOCK)


def with_wrong_checksum() -> bytes:
    """Return an archive whose header was changed after it was written."""
    raw = bytearray(archive(("model.txt", FILE, ""), packed=False))
    raw[0] = ord("n")
    return gzip.compress(bytes(raw))


FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
GOOD = archive(("model.txt", FILE, ""))
# Each is refused in one line.
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
    "a link, a link through it, and a file": archive(
        ("a", LINK, "."), ("a/b", LINK, "../.."), ("b/escaped.txt", FILE, "")
    ),
    "a link that is replaced by a folder": archive(
        ("a", LINK, "../.."), ("a", FOLDER, ""), ("a/escaped.txt", FILE, "")
    ),
    "an absolute link, then a file of its name": archive(
        ("a", LINK, "/etc/passwd"), ("a", FILE, "")
    ),
    "a hard link through a link": archive(("a", LINK, "../secret.txt"), ("b", HARD, "a")),
    "an unknown type": archive(("a", b"Z", "")),
    "a hard link to nothing": archive(("b", HARD, "a")),
    "a folder above": archive(("../folder", FOLDER, "")),
    "a long name that goes up": archive(("../" * 60 + "escaped.txt", FILE, "")),
    "a GNU long name that goes up": archive(
        ("../" * 60 + "escaped.txt", FILE, ""), kind=tarfile.GNU_FORMAT
    ),
    "an extended header that goes up": pax(path="../escaped.txt"),
    "an extended header with a link's target": archive(("a", LINK, "x/" * 80 + "../" * 99)),
    "a file of 8 GB that is not there": claiming(8 * 1024**3),
    "a wrong checksum": with_wrong_checksum(),
    "an extended header without its end": archive(("model.txt", FILE, ""))[:60],
    "xz of text": lzma.compress(b"not an archive" * 100),
    "gzip of gzip": gzip.compress(GOOD),
    "a pickle": b"\x80\x04cos\nsystem\n(S'id'\ntR." * 40,
}
# Each leaves files below the folder only, without special rights; their names.
UNPACKED: dict[str, tuple[bytes, set[str]]] = {
    "good": (GOOD, {"model.txt"}),
    "gzip without its length": (GOOD[:-4], {"model.txt"}),
    "zeros, which end an archive": (b"\0" * 2_000, set()),
    "absolute name": (archive(("/model.txt", FILE, "")), {"model.txt"}),
    "set-user-id": (archive(("run", FILE, ""), mode=0o6777), {"run"}),
    "link inside": (archive(("a", FILE, ""), ("b", LINK, "a")), {"a", "b"}),
    "odd names": (archive(("a b;$(id)\n'.txt", FILE, "")), {"a b;$(id)\n'.txt"}),
    "two of one name": (archive(("a", FILE, ""), ("a", FILE, "")), {"a"}),
    "names that differ by case": (archive(("A", FILE, ""), ("a", FILE, "")), {"A", "a"}),
    "a name with backslashes": (archive(("..\\a.txt", FILE, "")), {"..\\a.txt"}),
    "a name of wide dots": (archive(("\uff0e\uff0e", FILE, "")), {"\uff0e\uff0e"}),
    "a name that turns around": (archive(("\u202egpj.exe", FILE, "")), {"\u202egpj.exe"}),
    "a name with a terminal's code": (archive(("\x1b[2Ja", FILE, "")), {"\x1b[2Ja"}),
    "a name that begins with a dash": (archive(("-rf", FILE, "")), {"-rf"}),
    "an extended header with an absolute name": (pax(path="/model.txt"), {"model.txt"}),
    "an owner of another system": (pax(uid="0", gname="root"), {"model.txt"}),
    "a folder that is there twice": (archive(("d", FOLDER, ""), ("d", FOLDER, "")), {"d"}),
}
# Keys of objects in a folder of a model, and whether they are downloaded. Keys may contain "..".
KEYS = {
    "m/a.txt": True,
    "m/b/c.txt": True,
    "m/../m/a.txt": False,
    "m/../../escaped.txt": False,
    "m/b/../../../escaped.txt": False,
    "m//etc/passwd": False,
    "m/folder/": False,
    "m/a;$(id).txt": True,
    "m/~/a.txt": True,
    "m/C:\\a.txt": True,
    "m/..": False,
    "m/.": False,
    "m/a/..": False,
    "m/-rf": True,
    "m/\u202egpj.exe": True,
    "m/\x1b[2Ja": True,
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
