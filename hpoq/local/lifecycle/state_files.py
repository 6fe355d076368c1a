"""Files of a home that survive a power cut and a full disk.

A file is written aside, synced and renamed, as PostgreSQL does it (``durable_rename`` in its
sources): without the sync, a file system may store the new name before the content. The file before
it is kept in the folder ``previous``. What cannot be read is never overwritten.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hpoq.local.errors import DamagedFile, LocalCloudError

PREVIOUS = "previous"
DAMAGED = ".damaged"
T = TypeVar("T")


def write(path: Path, content: str, *, keep_previous: bool = True) -> None:
    """Replace a file; only its owner can read it. After an error, the old content is still there.

    Args:
        path: the file.
        content: its new content.
        keep_previous: keep the old one, which ``read`` takes if the new one is damaged.

    Raises:
        OSError: for example because the disk is full.
    """
    new = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep_previous and path.exists():
            _copy(path, _previous(path))
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read(path: Path, parse: Callable[[str], T]) -> T | None:
    """Return the parsed content of a file, or None if the file has never been written.

    If it is damaged or missing, the previous one takes its place; the damaged one is renamed.

    Args:
        path: the file.
        parse: raises ValueError if the content is damaged.

    Raises:
        DamagedFile: there is no previous one that can be read; both files are left as they are.
    """
    before = _previous(path)
    if not path.exists() and not before.exists():
        return None
    content, problem = _parsed(path, parse)
    if content is not None:
        return content
    content, _ = _parsed(before, parse)
    if content is None:
        raise DamagedFile(path, problem)
    if path.exists():
        path.rename(_unused(path))
    _copy(before, path)
    _sync_folder(path.parent)
    return content


def damaged_files(folder: Path) -> set[Path]:
    """Return the damaged files in a folder whose places previous ones have taken."""
    return set(folder.glob(f"*{DAMAGED}*"))


def cannot_write(path: Path, error: OSError) -> LocalCloudError:
    """Return the error for a file that could not be written."""
    return LocalCloudError(
        f"{path} could not be written ({error.strerror})",
        "Its last content is kept. Free space on this disk, or see to the permissions",
    )


def _parsed(path: Path, parse: Callable[[str], T]) -> tuple[T | None, str]:
    """Return the content, or None and the problem."""
    try:
        return parse(path.read_text()), ""
    except FileNotFoundError:
        return None, "it is missing"
    except ValueError as error:  # also of bytes that are not UTF-8
        return None, f"{error}"
    except OSError as error:
        return None, f"{error.strerror}"


def _previous(path: Path) -> Path:
    return path.parent / PREVIOUS / path.name


def _copy(source: Path, target: Path) -> None:
    """Let a second name refer to a file, which takes no space where the file system has links."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    new = target.with_name(target.name + ".new")
    new.unlink(missing_ok=True)
    try:
        new.hardlink_to(source)
    except OSError:
        shutil.copy2(source, new)
    new.replace(target)


def _unused(path: Path) -> Path:
    """Return a name for a damaged file that no earlier one has."""
    number, name = 1, path.with_name(path.name + DAMAGED)
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}{DAMAGED}{number}")
    return name


def _sync_folder(folder: Path) -> None:
    """Store the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
