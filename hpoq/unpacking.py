"""Unpack archives that others made."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from pathlib import Path
from typing import IO

from hpoq.errors import NotReachable

# What tarfile raises for archives that it cannot read, or does not unpack. KeyError: a hard link to
# nothing.
_ERRORS = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, KeyError)


class NotUnpacked(NotReachable):
    """An archive is damaged, or something in it would be written elsewhere."""


def unpack(archive: IO[bytes] | Path, folder: Path) -> None:
    """Unpack a tar archive below a folder, without special files and rights.

    Args:
        archive: compressed or not.
        folder: it must exist.

    Raises:
        NotUnpacked: in one line, why.
    """
    try:
        try:
            packed = _opened(archive)
        except tarfile.ReadError:  # its text has a line for each compression that was tried
            raise NotUnpacked("not a tar archive, or damaged at its beginning") from None
        with packed:
            packed.extractall(folder, filter="data")  # refuses paths outside of the folder
    except _ERRORS as error:
        raise NotUnpacked(" ".join(str(error).split())) from None


def _opened(archive: IO[bytes] | Path) -> tarfile.TarFile:
    return tarfile.open(archive) if isinstance(archive, Path) else tarfile.open(fileobj=archive)
