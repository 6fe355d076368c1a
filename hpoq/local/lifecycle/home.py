"""The folder of one embedded cloud and the documents in it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from hpoq.local.errors import LocalCloudError
from hpoq.local.lifecycle import state_files
from hpoq.local.limits import Profile

DEFAULT = ".hpoq"
VARIABLE = "HPOQ_HOME"
LOG_EVENTS = "log_events"  # folder of the state, with a file for each log stream
_OTHERS = 0o077  # permissions of other users


@dataclass(frozen=True, kw_only=True)
class CloudAccount:
    """The account of a home, which stays the same because the stored state contains its ARNs."""

    account: str  # 12 digits
    region: str
    access_key_id: str
    secret_access_key: str
    port: int  # used again at the next `up` if it is free, because queue URLs contain it
    quotas: Mapping[str, int] = field(default_factory=dict)  # that `up` was given
    profile: str = Profile.STANDARD


@dataclass(frozen=True, kw_only=True)
class RunningCloud:
    """A started cloud, as ``cloud.json`` describes it."""

    pid: int
    port: int
    endpoint: str
    account: str
    region: str
    access_key_id: str
    secret_access_key: str
    mark: str  # in the environment of every process the cloud started
    ca: str
    trust: str
    scratch: str
    interpreter: str  # runs training jobs
    function_interpreters: Mapping[str, str]  # Lambda runtime -> python
    started_at: str


class Home:
    """The paths of one embedded cloud, its documents and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.ca = self.path / "ca.pem"
        self.trust = self.path / "trust.pem"
        self.certificate = self.path / "server.pem"
        self.key = self.path / "server.key"
        self.logs = self.path / "logs"
        self.state = self.path / "state"
        self.objects = self.path / "s3"
        self.damaged_objects = self.path / "s3.damaged"
        self.accounts = self.path / "accounts"  # besides the cloud's own
        self.aws_config = self.path / "aws.config"  # profiles of other accounts
        self.settings = self.path / "server.json"
        self._account = self.path / "account.json"
        self._running = self.path / "cloud.json"
        self._alive = self.path / "cloud.lock"
        self._starting = self.path / "up.lock"

    @classmethod
    def find(cls, path: Path | str | None = None) -> Self:
        """Return the home in the given folder, else ``$HPOQ_HOME``, else ``./.hpoq``."""
        return cls(Path(path or os.environ.get(VARIABLE) or DEFAULT))

    def create(self) -> None:
        """Create the folder. Only its owner can read it, because it contains credentials.

        Raises:
            LocalCloudError: if the folder exists and belongs to another user.
        """
        for folder in (self.path, self.logs, self.state, self.objects):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.path.stat().st_mode & _OTHERS:  # it existed before
            try:
                self.path.chmod(0o700)
            except PermissionError:
                raise LocalCloudError(
                    f"{self.path} belongs to another user, who could read the cloud's credentials",
                    f"Set {VARIABLE} to a folder of your own",
                ) from None

    @property
    def log(self) -> Path:
        """The output of the cloud's process."""
        return self.logs / "cloud.log"

    def account(self) -> CloudAccount | None:
        """Return the account that the first `up` created, or None."""
        content = _read(self._account)
        return CloudAccount(**content) if content else None

    def store_account(self, account: CloudAccount) -> None:
        """Store the account for the next `up`."""
        _write(self._account, asdict(account), keep_previous=True)

    def running(self) -> RunningCloud | None:
        """Return the running cloud, or None; ignore the document of a killed cloud."""
        return self.last_run() if self.is_alive() else None

    def last_run(self) -> RunningCloud | None:
        """Return the content of ``cloud.json``, which a killed cloud leaves behind, or None.

        Raises:
            DamagedFile: if it cannot be read.
        """
        content = _read(self._running)
        return RunningCloud(**content) if content else None

    def store_settings(self, settings: Mapping[str, Any]) -> None:
        """Store the settings of the cloud's process, pip's passwords among them."""
        _write(self.settings, settings)

    def store_profiles(self, profiles: Mapping[str, RunningCloud]) -> None:
        """Write an AWS configuration with profiles of other accounts, by their names."""
        lines = [
            f"[profile {name}]\naws_access_key_id = {seen.access_key_id}\n"
            f"aws_secret_access_key = {seen.secret_access_key}\nregion = {seen.region}\n"
            for name, seen in profiles.items()
        ]
        try:
            state_files.write(self.aws_config, "\n".join(lines), keep_previous=False)
        except OSError as error:
            raise state_files.cannot_write(self.aws_config, error) from None

    def store_running(self, running: RunningCloud) -> None:
        """Store where the cloud is running."""
        _write(self._running, asdict(running))

    def delete_running(self) -> None:
        """Delete ``cloud.json``."""
        self._running.unlink(missing_ok=True)

    def damaged(self) -> set[Path]:
        """Return the damaged files that are kept.

        Earlier ones are in use instead, except for those in ``damaged_objects``.
        """
        folders = (self.path, self.state)
        found = {file for folder in folders for file in state_files.damaged_files(folder)}
        objects = {file for file in self.damaged_objects.rglob("*") if file.is_file()}
        return (found - {self.damaged_objects}) | objects

    def log_size(self) -> int:
        """Return the bytes of all log events that are stored."""
        folder = self.state / LOG_EVENTS
        return sum(file.stat().st_size for file in folder.glob("*"))

    def is_alive(self) -> bool:
        """Return whether a process holds the lock of this home."""
        if not self._alive.exists():
            return False
        with self._alive.open("a") as file:
            return not _lock(file.fileno())

    def hold(self) -> int:
        """Take the lock of this home, which the kernel releases when this process ends.

        Raises:
            BlockingIOError: if another process holds the lock.
        """
        descriptor = os.open(self._alive, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock(descriptor):
            os.close(descriptor)
            raise BlockingIOError(f"another process holds the lock {self._alive}")
        return descriptor

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Wait for other starts and stops of this home, and block them."""
        self.create()
        with self._starting.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> dict[str, Any] | None:
    content: dict[str, Any] | None = state_files.read(path, json.loads)
    return content


def _write(path: Path, content: Mapping[str, Any], *, keep_previous: bool = False) -> None:
    """Write a file atomically; only its owner can read it."""
    try:
        state_files.write(path, json.dumps(content, indent=2), keep_previous=keep_previous)
    except OSError as error:
        raise state_files.cannot_write(path, error) from None
