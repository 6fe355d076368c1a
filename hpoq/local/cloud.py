"""The embedded cloud from outside: start it, find it, use it, stop it.

with start(Path(".hpoq")) as cloud:
    cloud.deploy()
    cloud.session().client("sqs").list_queues()
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hpoq.local.accounts import root_key
from hpoq.local.errors import NotRunning
from hpoq.local.lifecycle import launch as launching
from hpoq.local.lifecycle import processes
from hpoq.local.lifecycle.home import Home, RunningCloud
from hpoq.local.lifecycle.launch import CloudOptions

if TYPE_CHECKING:
    from boto3 import Session

# Seconds for an orderly stop, during which the state is written; it starts again as long as lines
# are stored that training jobs printed before they were killed.
STOP_TIMEOUT = 20.0
# Variables that would make a client use another account.
CONFLICTING = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


class Cloud:
    """A running embedded cloud."""

    def __init__(
        self,
        home: Home,
        running: RunningCloud,
        *,
        started_here: bool = False,
        not_applied: Sequence[str] = (),
        recovered: Sequence[Path] = (),
    ) -> None:
        self.home = home
        self.running = running
        self.started_here = started_here
        self.not_applied = not_applied  # options for the next start of a cloud that was running
        self.recovered = recovered  # damaged files that this start has replaced or set aside

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def within(self, account: str | None = None, region: str | None = None) -> Cloud:
        """Return the same cloud as seen from another account or Region.

        Args:
            account: 12 digits, in which this user is the root user; default: the same.
            region: default: the same.
        """
        running = self.running
        seen = replace(
            running,
            account=account or running.account,
            region=region or running.region,
            access_key_id=root_key(running, account or running.account),
        )
        return Cloud(self.home, seen, started_here=self.started_here)

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that make any AWS client use this cloud."""
        running = self.running
        return {
            "HPOQ_HOME": str(self.home.path),
            "AWS_ENDPOINT_URL": running.endpoint,
            "AWS_ENDPOINT_URL_S3": running.endpoint,
            "AWS_ACCESS_KEY_ID": running.access_key_id,
            "AWS_SECRET_ACCESS_KEY": running.secret_access_key,
            "AWS_REGION": running.region,
            "AWS_DEFAULT_REGION": running.region,
            "AWS_CONFIG_FILE": str(self.home.aws_config),
            "AWS_CA_BUNDLE": running.ca,
            "NODE_EXTRA_CA_CERTS": running.trust,
            "REQUESTS_CA_BUNDLE": running.trust,
            "SSL_CERT_FILE": running.trust,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "NO_PROXY": _no_proxy(launching.HOST),
        }

    def environ(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return ``base``, by default this process's environment, changed to use this cloud."""
        kept = {k: v for k, v in (base or os.environ).items() if k not in CONFLICTING}
        return kept | self.env

    def session(self) -> Session:
        """Return a boto3 session whose clients use this cloud as its root user."""
        from hpoq.local.session import CloudSession

        return CloudSession(self.running)

    def deploy(
        self,
        context: Mapping[str, str] | None = None,
        *,
        app: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> dict[str, str]:
        """Bootstrap the cloud if necessary, deploy the CDK app, and return its stacks' outputs.

        Stacks of other accounts are deployed there; a profile of each, with the name of the stack,
        is added to the AWS configuration of this cloud.

        Args:
            context: settings of the app, as ``cdk deploy -c key=value``.
            app: folder that contains ``cdk.json``; default: the nearest parent folder.
            say: receives one line for each step.

        Raises:
            LocalCloudError: if Node.js or the app is missing, or cdk failed.
        """
        from hpoq.local.lifecycle.deployment import AccountAccess, CdkDeployment

        def access(account: str, region: str) -> AccountAccess:
            seen = self.within(account, region)
            return AccountAccess(seen.running, seen.environ(), seen.session().client("ssm"))

        own = access(self.running.account, self.running.region)
        deployment = CdkDeployment(self.home, own, access, app=app, say=say)
        return deployment.run(context or {})

    def run_dispatcher(self, outputs: Mapping[str, str]) -> None:
        """Run a cycle of a deployed stack's dispatcher, if it has one.

        It publishes the settings, which every client reads.

        Args:
            outputs: those of the stack.
        """
        if function := outputs.get("DispatcherFunctionName"):
            self.session().client("lambda").invoke(FunctionName=function)

    def stop(self) -> None:
        """Stop the cloud and every process that it started; keep its state."""
        with self.home.changing():
            if self.home.is_alive():
                _terminate(self.home, self.running)
            launching.clear_remains(self.home)


def start(
    home: Path | None = None,
    *,
    port: int | None = None,
    account: str | None = None,
    region: str | None = None,
    quotas: Mapping[str, int] | None = None,
    profile: str | None = None,
    interpreter: Path | None = None,
) -> Cloud:
    """Start the cloud of a home, or return it with ``started_here`` False if it is running.

    A running cloud keeps its limits and its port: others are stored for its next start, and listed
    in ``not_applied``.

    Args:
        home: the cloud's folder; default ``$HPOQ_HOME``, else ``./.hpoq``.
        port: of 127.0.0.1; default: the last port, else a free one.
        account: 12 digits, set by the first start; default: random ones.
        region: set by the first start; default us-east-1.
        quotas: limits by their names in ``hpoq.local.limits``.
        profile: a value of ``limits.Profile``; default: that of the last start, else standard.
        interpreter: Python that runs training jobs; default: the caller's.

    Raises:
        LocalCloudError: if the cloud cannot start; the message has the reason and the fix.
    """
    where = Home.find(home)
    options = CloudOptions(
        port=port,
        account=account,
        region=region,
        quotas=quotas,
        profile=profile,
        interpreter=interpreter,
    )
    with where.changing():
        running = where.running()
        if running:
            differing = launching.store_for_next_start(where, running, options)
            return Cloud(where, running, not_applied=differing)
        before = where.damaged()
        running = launching.launch(where, options)
        recovered = sorted(where.damaged() - before)
        return Cloud(where, running, started_here=True, recovered=recovered)


def find(home: Path | None = None) -> Cloud:
    """Return the running cloud of a home.

    Raises:
        NotRunning: if the cloud is not running.
    """
    where = Home.find(home)
    running = where.running()
    if running is None:
        was_killed = where.last_run() is not None
        what = "was killed, or the machine restarted" if was_killed else "is not running"
        raise NotRunning(f"The embedded cloud of {where.path} {what}", "Start it: hpoq local up")
    return Cloud(where, running)


def exports(cloud: Cloud) -> str:
    """Return shell commands that make a shell use the cloud, for ``eval``."""
    lines = [f"unset {' '.join(CONFLICTING)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in cloud.env.items()]
    return "\n".join(lines)


def _terminate(home: Home, running: RunningCloud) -> None:
    """Send SIGTERM and wait for the cloud's process, which holds the lock of the home."""
    stored = home.log_size()
    try:
        os.kill(running.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    while not processes.wait_until(lambda: not home.is_alive(), STOP_TIMEOUT):
        before, stored = stored, home.log_size()
        if stored == before:
            return


def _no_proxy(host: str) -> str:
    names = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return ",".join(dict.fromkeys([*filter(None, names.split(",")), host, "localhost"]))
