"""The folder that holds everything of one embedded cloud, and what is written in it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

DEFAULT = ".hpoq"
VARIABLE = "HPOQ_HOME"


@dataclass(frozen=True, kw_only=True)
class Account:
    """What stays the same from one `up` to the next: stored state holds its ARNs."""

    account: str  # 12 digits
    region: str
    access_key_id: str
    secret_access_key: str
    port: int  # taken again at the next `up` if it is free: queue URLs hold it
    quotas: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A started cloud, as ``cloud.json`` tells it to everyone else."""

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
    """Paths of one embedded cloud, and its two documents."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.ca = self.path / "ca.pem"
        self.trust = self.path / "trust.pem"
        self.certificate = self.path / "server.pem"
        self.key = self.path / "server.key"
        self.logs = self.path / "logs"
        self.state = self.path / "state"
        self.objects = self.path / "s3"
        self.settings = self.path / "server.json"
        self._account = self.path / "account.json"
        self._running = self.path / "cloud.json"
        self._alive = self.path / "cloud.lock"
        self._starting = self.path / "up.lock"

    @classmethod
    def find(cls, path: Path | str | None = None) -> Self:
        """The given folder, else ``$HPOQ_HOME``, else ``./.hpoq``."""
        return cls(Path(path or os.environ.get(VARIABLE) or DEFAULT))

    def make(self) -> None:
        """Create the folder, readable by its owner only: it holds credentials."""
        for folder in (self.path, self.logs, self.state, self.objects):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def log(self) -> Path:
        """What the cloud's own process says."""
        return self.logs / "cloud.log"

    def account(self) -> Account | None:
        """What an earlier `up` made."""
        content = _read(self._account)
        return Account(**content) if content else None

    def keep_account(self, account: Account) -> None:
        """Remember it for the next `up`."""
        _write(self._account, asdict(account))

    def running(self) -> Running | None:
        """The cloud that answers now, or None; a dead one's document counts as none."""
        return self.last_run() if self.is_alive() else None

    def last_run(self) -> Running | None:
        """What ``cloud.json`` says, true or stale."""
        content = _read(self._running)
        return Running(**content) if content else None

    def keep_running(self, running: Running) -> None:
        """Tell everyone where the cloud is."""
        _write(self._running, asdict(running))

    def forget_running(self) -> None:
        """The cloud is down."""
        self._running.unlink(missing_ok=True)

    def is_alive(self) -> bool:
        """Whether a cloud's process holds this home; the kernel says so, not a file's content."""
        if not self._alive.exists():
            return False
        with self._alive.open("a") as file:
            return not _lock(file.fileno())

    def hold(self) -> int:
        """Called by the cloud's process: hold the home until the process ends, however it ends.

        Raises:
            BlockingIOError: another process holds it.
        """
        descriptor = os.open(self._alive, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock(descriptor):
            os.close(descriptor)
            raise BlockingIOError(f"{self._alive} is held by another process")
        return descriptor

    @contextmanager
    def changing(self) -> Iterator[None]:
        """One `up` or `down` at a time; a second one waits."""
        self.make()
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
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all, and for the owner's eyes only."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
    new.replace(path)
