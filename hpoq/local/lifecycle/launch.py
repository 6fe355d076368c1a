"""Starting the cloud's process and waiting until it answers."""

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
from hpoq.local.environments import cache_folder
from hpoq.local.errors import LocalCloudError
from hpoq.local.lifecycle import installation, interpreters, processes, trust
from hpoq.local.lifecycle.home import CloudAccount, Home, RunningCloud
from hpoq.local.limits import limits_of

HOST = "127.0.0.1"
REGION = "us-east-1"
START_TIMEOUT = 60.0  # seconds
LOG_LINES_SHOWN = 6  # when the start fails
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "LD_LIBRARY_PATH")
_OF_DOWNLOADS = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
)  # fmt: skip
_BACKLOG = 128
# Names a Python file that the process runs first, for example to measure the process.
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
class CloudOptions:
    """The options of `up`; None keeps the value of an earlier `up`."""

    port: int | None = None
    account: str | None = None
    region: str | None = None
    quotas: Mapping[str, int] | None = None
    profile: str | None = None  # a value of limits.Profile
    interpreter: Path | None = None  # runs training jobs; default: this interpreter


def launch(home: Home, options: CloudOptions) -> RunningCloud:
    """Start the cloud's process in the background and return when it answers.

    Raises:
        LocalCloudError: if the port is in use, packages are missing, or the process failed.
    """
    clear_remains(home)
    with _listen(home, options.port) as listener:
        account = _account(home, options, listener.getsockname()[1])
        running = _plan(home, account, options)
        reader, writer = os.pipe()
        try:
            process = _spawn(home, account, running, listener.fileno(), writer)
        finally:
            os.close(writer)
    running = replace(running, pid=process.pid)
    home.store_running(running)  # at once: if this process is killed now, the next `up` needs it
    home.store_account(account)
    with os.fdopen(reader, "rb") as ready:
        _await_ready(ready.fileno(), home)
    trust.write(home, os.environ)
    return running


def store_for_next_start(home: Home, running: RunningCloud, options: CloudOptions) -> list[str]:
    """Store options that a running cloud does not take over, and return those that differ.

    Raises:
        LocalCloudError: if the cloud's account is in another Region than the options say.
    """
    account = _account(home, options, options.port or running.port)
    home.store_account(account)
    active = json.loads(home.settings.read_text())["limits"]
    wanted = limits_of(account.profile, account.quotas)
    names = sorted(active.keys() | wanted.keys())
    changed = [name for name in names if active.get(name) != wanted.get(name)]
    differing = [f"{name}={wanted.get(name, 'no limit')}" for name in changed]
    if account.port != running.port:
        differing.append(f"port {account.port}")
    return differing


def clear_remains(home: Home) -> int:
    """Kill the processes that a killed cloud left, and return how many there were."""
    last = home.last_run()
    if last is None:
        return 0
    killed = processes.kill_marked(last.mark)
    shutil.rmtree(last.scratch, ignore_errors=True)
    home.delete_running()
    return killed


def _listen(home: Home, requested: int | None) -> socket.socket:
    """Return the listening socket, which the process inherits, so that the port stays reserved."""
    account = home.account()
    if requested is None and account is not None:
        try:
            return _bound(account.port)
        except OSError:  # another program uses the last port
            return _bound(0)
    try:
        return _bound(requested or 0)
    except OSError as error:
        raise LocalCloudError(
            f"Port {requested} of {HOST} is not available ({error.strerror})",
            "Choose another with --port, or omit --port to use a free one",
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


def _account(home: Home, options: CloudOptions, port: int) -> CloudAccount:
    """Return the home's account, which the first `up` creates."""
    account = home.account() or CloudAccount(
        account=options.account or _digits(),
        region=options.region or REGION,
        access_key_id="AKIA" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16)),
        secret_access_key=secrets.token_urlsafe(30),
        port=port,
    )
    for wanted, found, what in (
        (options.account, account.account, "account {}"),
        (options.region, account.region, "an account in {}"),
    ):
        if wanted and wanted != found:
            raise LocalCloudError(
                f"{home.path} contains {what.format(found)}, not {what.format(wanted)}",
                "Use another folder (HPOQ_HOME), or delete this one to start again",
            )
    quotas = {**account.quotas, **(options.quotas or {})}
    profile = options.profile or account.profile
    return replace(account, port=port, quotas=quotas, profile=profile)


_KEY_LETTERS = string.ascii_uppercase + "234567"


def _digits() -> str:
    return str(secrets.randbelow(9 * 10**11) + 10**11)


def _plan(home: Home, account: CloudAccount, options: CloudOptions) -> RunningCloud:
    functions = {
        runtime: str(installation.empty_python(python))
        for runtime, python in interpreters.for_functions().items()
    }
    return RunningCloud(
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
        scratch=tempfile.mkdtemp(prefix="hpoq-"),  # short, because paths of sockets are limited
        interpreter=str(options.interpreter or sys.executable),
        function_interpreters=functions,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _spawn(
    home: Home, account: CloudAccount, running: RunningCloud, listener: int, ready: int
) -> subprocess.Popen[bytes]:
    python = installation.cloud_python()
    home.create()
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
    home: Home, account: CloudAccount, running: RunningCloud, listener: int, ready: int
) -> None:
    settings = {
        "account": account.account,
        "region": account.region,
        "access_key_id": account.access_key_id,
        "listener": listener,
        "ready": ready,
        "interpreter": running.interpreter,
        "environments": str(cache_folder()),
        "pip": _pip_variables(),
        "function_interpreters": dict(running.function_interpreters),
        "limits": limits_of(account.profile, account.quotas),
    }
    home.store_settings(settings)


def _pip_variables() -> dict[str, str]:
    """Return the variables that change how pip finds and downloads packages."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name.upper() in _OF_DOWNLOADS
    }


def _environment(home: Home, running: RunningCloud) -> dict[str, str]:
    """Return a small environment, because every Lambda function inherits it."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
        processes.MARK: running.mark,
        "TMPDIR": running.scratch,
        "PYTHONUNBUFFERED": "1",
        # for clients in the account, such as its functions
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
        "DOCKER_HOST": "unix:///nonexistent",  # do not look for a Docker daemon
    }


def _await_ready(ready: int, home: Home) -> None:
    """Wait until the process writes to the pipe or ends, which closes the pipe."""
    readable, _, _ = select.select([ready], [], [], START_TIMEOUT)
    if readable and os.read(ready, 16):
        return
    clear_remains(home)
    output = home.log.read_text(errors="replace").strip().splitlines()[-LOG_LINES_SHOWN:]
    what = "did not start in time" if not readable else "failed to start"
    raise LocalCloudError(
        f"The embedded cloud {what}: {' | '.join(output) or 'no output'}",
        f"Its whole output is in {home.log}",
    )
