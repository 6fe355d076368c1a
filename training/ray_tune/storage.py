"""Where a search's state is saved, so that a search killed at any moment can be resumed."""

import io
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from pyarrow import fs as arrow


class ReplacedFiles(LocalFileSystem):  # type: ignore[misc]
    """A folder whose files are replaced at once: a killed writer leaves the old or the new one.

    Ray Tune copies its state over that of seconds ago. Saved searches refer to this class by name.
    """

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        return _Replacement(Path(path)) if mode == "wb" else super()._open(path, mode, **options)


class _Replacement(io.FileIO):
    """A new file that takes the place of another when it is closed."""

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_name(f".{path.name}.tmp")
        super().__init__(self._temporary, "w")

    def close(self) -> None:
        if not self.closed:
            os.fsync(self.fileno())
            super().close()
            self._temporary.replace(self._path)


def filesystem_of(storage: str) -> arrow.FileSystem | None:
    """Return the filesystem of a folder; None for a URI, since S3 replaces objects at once."""
    return None if "://" in storage else arrow.PyFileSystem(arrow.FSSpecHandler(ReplacedFiles()))


def saved_searches(storage: str, prefix: str) -> list[str]:
    """Return the names of the saved searches in a folder or URI that start with a prefix."""
    filesystem, path = arrow.FileSystem.from_uri(storage)
    entries = filesystem.get_file_info(arrow.FileSelector(path, allow_not_found=True))
    names = sorted(each.base_name for each in entries if each.base_name.startswith(prefix))
    return [name for name in names if is_saved(f"{storage}/{name}")]


def is_saved(folder: str) -> bool:
    """Return whether a search in a folder or URI can be resumed.

    A search that was killed in its first second has saved its settings but not its trials.
    """
    filesystem, path = arrow.FileSystem.from_uri(folder)
    files = filesystem.get_file_info(arrow.FileSelector(path, allow_not_found=True))
    names = [file.base_name for file in files]
    return "tuner.pkl" in names and any(fnmatch(each, "experiment_state-*.json") for each in names)
