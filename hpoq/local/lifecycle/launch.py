"""Starting the cloud's process, and waiting until it answers."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import socket
import string
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import hpo_dispatcher
import hpoq
from hpoq.local.errors import LocalCloudError
from hpoq.local.lifecycle import installation, interpreters, processes, trust
from hpoq.local.lifecycle.home import Account, Home, Running

HOST = "127.0.0.1"
REGION = "us-east-1"
QUOTAS: Mapping[str, int] = {"tuning_jobs": 100}  # AWS's own
PATIENCE = 60.0  # seconds until the port answers
LAST_WORDS = 6  # lines of the log shown when it does not
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "LD_LIBRARY_PATH")
_BACKLOG = 128
# A Python file for the process to run before anything else, such as one that measures it.
STARTUP = "HPOQ_SERVER_STARTUP"
_START = """
import runpy, sys
from pathlib import Path
packages, home, *startup = sys.argv[1:]
for file in startup:
    runpy.run_path(file)
sys.path += packages.split("|")
from hpoq.local.server.main import main
main(Path(home))
"""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the caller of `up` asks for; None keeps what an earlier `up` chose."""

    port: int | None = None
    region: str | None = None
    quotas: Mapping[str, int] | None = None
    interpreter: Path | None = None  # runs training jobs; default: the caller's


def launch(home: Home, wishes: Wishes) -> Running:
    """Start the process, detached, and return once it answers.

    Raises:
        LocalCloudError: the port is taken, packages are missing, or it died; says which.
    """
    clear_remains(home)
    with _listen(home, wishes.port) as listener:
        account = _account(home, wishes, listener.getsockname()[1])
        running = _plan(home, account, wishes)
        reader, writer = os.pipe()
        try:
            process = _spawn(home, account, running, listener.fileno(), writer)
        finally:
            os.close(writer)
    running = replace(running, pid=process.pid)
    home.keep_running(running)  # at once: whoever comes after us, if we are killed now, needs it
    home.keep_account(account)
    with os.fdopen(reader, "rb") as ready:
        _await(ready.fileno(), home)
    trust.write(home, os.environ)
    return running


def clear_remains(home: Home) -> int:
    """End what a cloud that was killed left running; how many processes that were."""
    last = home.last_run()
    if last is None:
        return 0
    ended = processes.end_marked(last.mark)
    shutil.rmtree(last.scratch, ignore_errors=True)
    home.forget_running()
    return ended


def _listen(home: Home, wished: int | None) -> socket.socket:
    """The socket itself goes to the process: no other program can take the port meanwhile."""
    before = home.account()
    if wished is None and before is not None:
        try:
            return _bound(before.port)
        except OSError:  # taken since: any other will do
            return _bound(0)
    try:
        return _bound(wished or 0)
    except OSError as error:
        raise LocalCloudError(
            f"Port {wished} of {HOST} cannot be used ({error.strerror})",
            "Give another with --port, or none and a free one is taken",
        ) from None


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _account(home: Home, wishes: Wishes, port: int) -> Account:
    """The home's account, made at its first `up`."""
    account = home.account() or Account(
        account=_digits(),
        region=wishes.region or REGION,
        access_key_id="AKIA" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16)),
        secret_access_key=secrets.token_urlsafe(30),
        port=port,
        quotas=QUOTAS,
    )
    if wishes.region and wishes.region != account.region:
        raise LocalCloudError(
            f"{home.path} holds an account in {account.region}, not {wishes.region}",
            "Use another folder (HPOQ_HOME), or remove this one to begin anew",
        )
    quotas = {**QUOTAS, **account.quotas, **(wishes.quotas or {})}
    return replace(account, port=port, quotas=quotas)


_KEY_LETTERS = string.ascii_uppercase + "234567"


def _digits() -> str:
    return str(secrets.randbelow(9 * 10**11) + 10**11)


def _plan(home: Home, account: Account, wishes: Wishes) -> Running:
    functions = {
        runtime: str(installation.empty_python(python))
        for runtime, python in interpreters.for_functions().items()
    }
    return Running(
        pid=0,
        port=account.port,
        endpoint=f"https://{HOST}:{account.port}",
        account=account.account,
        region=account.region,
        access_key_id=account.access_key_id,
        secret_access_key=account.secret_access_key,
        mark=secrets.token_hex(16),
        ca=str(home.ca),
        trust=str(home.trust),
        scratch=tempfile.mkdtemp(prefix="hpoq-"),  # short: sockets may lie in it
        interpreter=str(wishes.interpreter or sys.executable),
        function_interpreters=functions,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _spawn(
    home: Home, account: Account, running: Running, listener: int, ready: int
) -> subprocess.Popen[bytes]:
    python = installation.cloud_python()
    home.make()
    _write_settings(home, account, running, listener, ready)
    if home.log.exists():
        home.log.replace(home.log.with_suffix(".log.1"))
    # Both packages: the server uses the names and limits of the dispatcher's contract.
    files = (hpoq.__file__, str(hpo_dispatcher.__file__))
    packages = "|".join(str(Path(file).parents[1]) for file in files)
    with home.log.open("wb") as log:
        return subprocess.Popen(
            [python, "-I", "-c", _START, packages, home.path, *_startup()],
            cwd=home.path,
            env=_environment(home, running),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(listener, ready),
        )


def _startup() -> list[str]:
    file = os.environ.get(STARTUP)
    return [file] if file else []


def _write_settings(
    home: Home, account: Account, running: Running, listener: int, ready: int
) -> None:
    settings = {
        "account": account.account,
        "region": account.region,
        "access_key_id": account.access_key_id,
        "listener": listener,
        "ready": ready,
        "interpreter": running.interpreter,
        "function_interpreters": dict(running.function_interpreters),
        "quotas": dict(account.quotas),
    }
    home.settings.write_text(json.dumps(settings, indent=2))


def _environment(home: Home, running: Running) -> dict[str, str]:
    """Little, because every Lambda function inherits it."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
        processes.MARK: running.mark,
        "TMPDIR": running.scratch,
        "PYTHONUNBUFFERED": "1",
        # how the account's own clients, the functions first, reach it
        "AWS_ENDPOINT_URL": running.endpoint,
        "AWS_CA_BUNDLE": running.ca,
        "AWS_REGION": running.region,
        "AWS_DEFAULT_REGION": running.region,
        "AWS_ACCESS_KEY_ID": running.access_key_id,
        "AWS_SECRET_ACCESS_KEY": running.secret_access_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        # ministack's settings
        "AUTH": "true",
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(home.certificate),
        "MINISTACK_SSL_KEY": str(home.key),
        "MINISTACK_HOST": HOST,
        "GATEWAY_PORT": str(running.port),
        "MINISTACK_ACCOUNT_ID": running.account,
        "MINISTACK_REGION": running.region,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(home.state),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(home.objects),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",  # never look for a daemon
    }


def _await(ready: int, home: Home) -> None:
    """Until the process says so; its end closes the pipe."""
    readable, _, _ = select.select([ready], [], [], PATIENCE)
    if readable and os.read(ready, 16):
        return
    clear_remains(home)
    said = home.log.read_text(errors="replace").strip().splitlines()[-LAST_WORDS:]
    why = "did not answer in time" if not readable else "ended at once"
    raise LocalCloudError(
        f"The embedded cloud {why}: {' | '.join(said) or 'it said nothing'}",
        f"All it said is in {home.log}",
    )
