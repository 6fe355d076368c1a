"""Ray's processes on this host: their environment, start and end."""

import hashlib
import os
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from credit_default.hosts import HostMissing

END_SECONDS = 45.0  # Ray itself takes up to 30 seconds to drain a node
RAY_PORT = 6379
JOB_PORTS = range(20_000, 30_000)  # below those that systems give to clients


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """The resources a host offers to the cluster, and how it finds the other hosts."""

    cpus: int
    gpus: int = 0
    port: int = RAY_PORT  # of the head
    join_seconds: float = 600.0  # some hosts may still be pulling their image


def port_of(environ: Mapping[str, str] = os.environ) -> int:
    """Return Ray's port on the first host, which all hosts of a training job know.

    Ray listens at all addresses of a machine, and in the embedded cloud, several training jobs
    share one.
    """
    job = environ.get("TRAINING_JOB_ARN") or environ.get("TRAINING_JOB_NAME")
    return JOB_PORTS[zlib.crc32(job.encode()) % len(JOB_PORTS)] if job else RAY_PORT


def prepare_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Set the environment of Ray's processes; call it before importing Ray, which reads some."""
    for name, value in {
        "RAY_worker_niceness": "0",  # 15 by default, which starves trials
        "RAY_USAGE_STATS_ENABLED": "0",
        # By default Ray starts one process per CPU that no trial ever uses.
        "RAY_prestart_worker_first_driver": "0",
        # ray_tune.progress and ray_tune.results replace Tune's own, which grow with the trials.
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a page each; ray_tune.progress prints a line
        # A paragraph each on standard output; a search prints a line.
        "RAY_DEDUP_LOGS_SKIP_REGEX": "^A worker died or was killed",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _token(environ),
    }.items():
        os.environ.setdefault(name, value)
    # Workers import the trials' code by its top-level names.
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parents[1]), *filter(None, path)]
    )


def _token(environ: Mapping[str, str]) -> str:
    """Return a token that only the hosts of this training job share; not a secret (ADR 0023)."""
    job = environ.get("TRAINING_JOB_ARN") or environ.get("TRAINING_JOB_NAME")
    shared = job or environ.get("SM_HOSTS") or str(os.getpid())
    return hashlib.sha256(shared.encode()).hexdigest()


@contextmanager
def ray_node(
    role: str, *options: str, host: str, settings: NodeSettings
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Ray node on this host until the block ends.

    Args:
        role: `--head`, or `--address=` followed by the head's address.
        options: further options of `ray start`.
        host: this host's name.
        settings: this host's resources.
    """
    command = [str(Path(sys.executable).with_name("ray")), "start", role, *options, "--block"]
    command += [f"--node-ip-address={_address_of(host)}"]
    command += [
        f"--num-cpus={settings.cpus}",
        f"--num-gpus={settings.gpus}",
        "--disable-usage-stats",
    ]
    command += ["--include-log-monitor=false"]  # ray_tune.cluster discards workers' logs
    # Use any free port: in tests, several nodes on one machine would share Ray's default range.
    command += ["--min-worker-port=0", "--max-worker-port=0"]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _address_of(host: str) -> str:
    try:
        return socket.gethostbyname(host)
    except OSError as error:
        raise HostMissing(f"the address of this host, {host}, is unknown ({error})") from None


def is_listening(host: str, port: int) -> bool:
    """Return whether a process listens on the port."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True
