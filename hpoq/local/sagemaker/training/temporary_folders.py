"""The folders, and the names of hosts, that a training job has in the place of shared ones."""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hpoq.local.environments import digest

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
HOSTS = Path("/etc/hosts")


@dataclass(frozen=True)
class TemporaryFolders:
    """The /tmp, /var/tmp and /dev/shm of a training job, and its /etc/hosts if it has several.

    The instances of a job share them: frameworks notice that these instances run on one machine.
    Their names are short, because the path of a Unix socket has at most 107 characters, and always
    the same for one job, so that those of a killed cloud are found.

    Args:
        job: the folder of the training job.
        hosts: SageMaker's names of its instances.
    """

    job: Path
    hosts: Sequence[str] = ()

    @cached_property
    def paths(self) -> dict[str, str]:
        """What takes the place of each folder, the first one of /tmp, and of the file of hosts."""
        hosts = {str(HOSTS): str(self._hosts)} if len(self.hosts) > 1 and HOSTS.is_file() else {}
        return {**self._folders, **hosts}

    @cached_property
    def _folders(self) -> dict[str, str]:
        temporary = str(Path(tempfile.gettempdir()) / self._name)
        found = {"/tmp": temporary, "/var/tmp": temporary}  # noqa: S108
        if os.access(SHARED_MEMORY, os.W_OK):
            found[str(SHARED_MEMORY)] = str(SHARED_MEMORY / self._name)
        return found

    @property
    def _name(self) -> str:
        return f"hpoq-{digest(str(self.job.absolute()))}"

    @property
    def _hosts(self) -> Path:
        return Path(tempfile.gettempdir()) / f"{self._name}-hosts"

    def _addresses(self) -> str:
        """Return the lines of the hosts; two jobs hardly ever have the same loopback addresses."""
        number = zlib.crc32(str(self.job.absolute()).encode())
        network = f"127.{1 + number % 255}.{number // 255 % 256}"
        return "".join(f"{network}.{n} {name}\n" for n, name in enumerate(self.hosts, start=1))

    def create(self) -> None:
        """Create the folders, empty and for this user only, and the file of hosts."""
        if str(HOSTS) in self.paths:
            self._hosts.write_text(HOSTS.read_text() + self._addresses())
        for path in set(self._folders.values()):
            try:
                Path(path).mkdir(mode=0o700)
            except FileExistsError:  # of a killed cloud
                shutil.rmtree(path, ignore_errors=True)
                Path(path).mkdir(mode=0o700)

    def delete(self) -> None:
        """Delete the folders and what is in them, and the file of hosts, if they exist."""
        self._hosts.unlink(missing_ok=True)
        for path in set(self._folders.values()):
            shutil.rmtree(path, ignore_errors=True)
