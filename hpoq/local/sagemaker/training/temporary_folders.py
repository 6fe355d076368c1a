"""The folders that a training job has in the place of those that all programs share."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hpoq.local.environments import digest

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


@dataclass(frozen=True)
class TemporaryFolders:
    """The /tmp, /var/tmp and /dev/shm of a training job.

    The instances of a job share them: frameworks notice that these instances run on one machine.
    Their names are short, because the path of a Unix socket has at most 107 characters, and always
    the same for one job, so that those of a killed cloud are found.

    Args:
        job: the folder of the training job.
    """

    job: Path

    @cached_property
    def paths(self) -> dict[str, str]:
        """The folder of the job that takes the place of each; the first one is for /tmp."""
        name = f"hpoq-{digest(str(self.job.absolute()))}"
        temporary = str(Path(tempfile.gettempdir()) / name)
        found = {"/tmp": temporary, "/var/tmp": temporary}  # noqa: S108
        if os.access(SHARED_MEMORY, os.W_OK):
            found[str(SHARED_MEMORY)] = str(SHARED_MEMORY / name)
        return found

    def create(self) -> None:
        """Create the folders, empty and for this user only."""
        for path in set(self.paths.values()):
            try:
                Path(path).mkdir(mode=0o700)
            except FileExistsError:  # of a killed cloud
                shutil.rmtree(path, ignore_errors=True)
                Path(path).mkdir(mode=0o700)

    def delete(self) -> None:
        """Delete the folders and what is in them, if they exist."""
        for path in set(self.paths.values()):
            shutil.rmtree(path, ignore_errors=True)
