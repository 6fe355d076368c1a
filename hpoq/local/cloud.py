"""The embedded cloud, from outside: start it, find it, use it, end it.

with start(Path(".hpoq")) as cloud:
    cloud.deploy()
    cloud.session().client("sqs").list_queues()
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hpoq.local.errors import NotRunning
from hpoq.local.lifecycle import launch as launching
from hpoq.local.lifecycle import processes
from hpoq.local.lifecycle.home import Home, Running
from hpoq.local.lifecycle.launch import Wishes

if TYPE_CHECKING:
    from boto3 import Session

PATIENCE = 20.0  # seconds for an orderly end: state is written meanwhile
# What would lead a client elsewhere than to the cloud.
MISLEADING = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


class Cloud:
    """A running embedded cloud."""

    def __init__(self, home: Home, running: Running, *, started_here: bool = False) -> None:
        self.home = home
        self.running = running
        self.started_here = started_here

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """The variables that lead any AWS client to this cloud."""
        running = self.running
        return {
            "HPOQ_HOME": str(self.home.path),
            "AWS_ENDPOINT_URL": running.endpoint,
            "AWS_ENDPOINT_URL_S3": running.endpoint,
            "AWS_ACCESS_KEY_ID": running.access_key_id,
            "AWS_SECRET_ACCESS_KEY": running.secret_access_key,
            "AWS_REGION": running.region,
            "AWS_DEFAULT_REGION": running.region,
            "AWS_CA_BUNDLE": running.ca,
            "NODE_EXTRA_CA_CERTS": running.trust,
            "REQUESTS_CA_BUNDLE": running.trust,
            "SSL_CERT_FILE": running.trust,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
            "NO_PROXY": _without_proxy(launching.HOST),
        }

    def environ(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """A whole environment for a child process: ``base`` (ours), led to this cloud."""
        kept = {k: v for k, v in (base or os.environ).items() if k not in MISLEADING}
        return kept | self.env

    def session(self) -> Session:
        """A boto3 session whose clients talk to this cloud, as its root user."""
        from hpoq.local.session import CloudSession

        return CloudSession(self.running)

    def deploy(
        self,
        context: Mapping[str, str] | None = None,
        *,
        app: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> dict[str, str]:
        """Bootstrap if need be, deploy the CDK app, and return the stack's outputs.

        Args:
            context: settings of the app, as ``cdk deploy -c key=value``.
            app: folder that holds ``cdk.json``; default: the nearest one upwards.
            say: told what is being done, a line at a time.

        Raises:
            LocalCloudError: Node is missing, there is no app, or cdk failed.
        """
        from hpoq.local.lifecycle.deployment import Deployment

        return Deployment(self, app, say).run(context or {})

    def stop(self) -> None:
        """End it and every process it started. State stays for the next `up`."""
        with self.home.changing():
            if self.home.is_alive():
                _end(self.home, self.running)
            launching.clear_remains(self.home)


def start(
    home: Path | None = None,
    *,
    port: int | None = None,
    region: str | None = None,
    quotas: Mapping[str, int] | None = None,
    interpreter: Path | None = None,
) -> Cloud:
    """Start the cloud of a home, or find it running (then ``started_here`` is False).

    Args:
        home: its folder; default ``$HPOQ_HOME``, else ``./.hpoq``.
        port: of 127.0.0.1; default: the last one, else a free one.
        region: fixed by the first `up`; default us-east-1.
        quotas: ``tuning_jobs``, or an instance type such as ``ml.m5.xlarge``, to a count.
        interpreter: Python that runs training jobs; default: the caller's.

    Raises:
        LocalCloudError: it cannot be started; the message says why and what helps.
    """
    where = Home.find(home)
    wishes = Wishes(port=port, region=region, quotas=quotas, interpreter=interpreter)
    with where.changing():
        running = where.running()
        if running:
            return Cloud(where, running)
        return Cloud(where, launching.launch(where, wishes), started_here=True)


def find(home: Path | None = None) -> Cloud:
    """The running cloud of a home.

    Raises:
        NotRunning: there is none.
    """
    where = Home.find(home)
    running = where.running()
    if running is None:
        stale = where.last_run() is not None
        what = "was killed, or the machine restarted" if stale else "is not running"
        raise NotRunning(f"The embedded cloud of {where.path} {what}", "Start it: hpoq local up")
    return Cloud(where, running)


def _end(home: Home, running: Running) -> None:
    """Ask, then insist; the process that holds the home is the one we started."""
    try:
        os.kill(running.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    processes.wait_until(lambda: not home.is_alive(), PATIENCE)


def _without_proxy(host: str) -> str:
    names = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return ",".join(dict.fromkeys([*filter(None, names.split(",")), host, "localhost"]))


def exports(cloud: Cloud) -> str:
    """Lines for `eval`."""
    lines = [f"unset {' '.join(MISLEADING)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in cloud.env.items()]
    return "\n".join(lines)
