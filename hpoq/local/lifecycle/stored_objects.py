"""The S3 objects of a home: those that a power cut or a broken disk has torn are set aside.

ministack stores an object as a file, and its description in a second file beside it. It takes the
size and the checksum from the description: a file that has lost its end would be answered as if it
were whole, with the checksum of what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpoq.local.lifecycle.home import Home

DESCRIPTION = ".meta.json"
VERSIONS = ".versions"  # earlier versions of objects, outside of the buckets


def set_torn_aside(home: Home) -> list[Path]:
    """Move torn objects out of their buckets, and return where they are now.

    Call it before ministack reads the objects.
    """
    moved: list[Path] = []
    for description in [*_descriptions(home.objects)]:
        content = description.with_name(description.name.removesuffix(DESCRIPTION))
        if _is_torn(content, description):
            for file in (content, description):
                if file.exists():
                    aside = _unused(home.damaged_objects / file.relative_to(home.objects))
                    aside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    file.rename(aside)
                    moved.append(aside)
    return moved


def _descriptions(folder: Path) -> Iterator[Path]:
    for account in folder.iterdir() if folder.exists() else ():
        if account.name != VERSIONS:
            yield from account.rglob(f"*{DESCRIPTION}")


def _is_torn(content: Path, description: Path) -> bool:
    """Return whether a file differs in size from its description, or has no readable one."""
    try:
        described: Any = json.loads(description.read_bytes())
        size = described.get("size")
        is_marker = described.get("is_delete_marker")
    except (ValueError, AttributeError):
        return True
    if size is None or is_marker or not content.exists():
        return False
    return bool(content.stat().st_size != size)


def _unused(path: Path) -> Path:
    """Return a name that no earlier damaged file has."""
    number, name = 1, path
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.{number}")
    return name
