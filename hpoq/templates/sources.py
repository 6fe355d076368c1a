"""The code of a template that is a local file or folder, as an archive in the team's workspace."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from hpo_dispatcher.contract.names import workspace_prefix
from hpoq.errors import UnreadableFile

REQUIREMENTS = "requirements.txt"
MAX_BYTES = 100_000_000  # a folder with more is a mistake, such as one with data in it


def archive_of(source: Path, entry_point: str) -> bytes:
    """Return the archive of a script, or of a folder that contains it.

    Equal files give equal archives. A single script is packed with ``requirements.txt`` beside it.
    Hidden and compiled files of a folder are left out.

    Raises:
        UnreadableFile: the files are missing or too large.
    """
    files = _files(source)
    if entry_point not in files:
        raise UnreadableFile(f"{source}: contains no {entry_point}. Correct source or entry_point")
    size = sum(path.stat().st_size for path in files.values())
    if size > MAX_BYTES:
        raise UnreadableFile(
            f"{source}: {size // 10**6} MB of code exceed {MAX_BYTES // 10**6} MB. Name a folder "
            "without data, or the script itself"
        )
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name, path in files.items():
            member, content = tarfile.TarInfo(name), path.read_bytes()
            member.size, member.mode = len(content), 0o755 if _is_program(path) else 0o644
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def key_of(team: str, archive: bytes) -> str:
    """Return the key of an archive in a team's workspace, which follows from its content."""
    digest = hashlib.sha256(archive).hexdigest()[:16]
    return f"{workspace_prefix(team)}code/{digest}/source.tar.gz"


def _is_program(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


def _files(source: Path) -> dict[str, Path]:
    """Return the files to pack by their names in the archive."""
    if source.is_file():
        beside = source.with_name(REQUIREMENTS)
        return {each.name: each for each in (source, beside) if each.is_file()}
    if not source.is_dir():
        raise UnreadableFile(f"{source}: no such file or folder. Correct source in the template")
    found = {
        path.relative_to(source).as_posix(): path
        for path in sorted(source.rglob("*"))
        if path.is_file()
    }
    return {
        name: path
        for name, path in found.items()
        if not any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))
    }
