"""Files that a killed process leaves complete; imports no torch, which takes seconds to load."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file, so that a process killed meanwhile leaves the old or the new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for every attempt, so that killed processes leave at most one temporary file.
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
