"""Digests of what a result depends on, so that no run resumes from the state of another one."""

import hashlib
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def code_digest(*packages: Path) -> str:
    """Return the digest of all modules of these packages, and of this one."""
    return digest_of(
        part
        for package in (PACKAGE, *packages)
        for file in sorted(package.rglob("*.py"))
        for part in (file.relative_to(package).as_posix().encode(), file.read_bytes())
    )


def checksums(file: Path) -> bytes:
    """Return the names, sizes and checksums of the arrays in an .npz file, without reading them."""
    with zipfile.ZipFile(file) as archive:
        members = [(each.filename, each.file_size, each.CRC) for each in archive.infolist()]
    return repr(sorted(members)).encode()


def digest_of(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of a sequence of texts; another division of them has another digest."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
