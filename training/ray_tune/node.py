"""Ray's processes on this host: what they inherit, how they start, how they end."""

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

END_SECONDS = 45.0  # Ray itself drains a node for 30


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What each host gives to the cluster, and where and how long it looks for the others."""

    cpus: int
    gpus: int = 0
    port: int = 6379  # of the head
    join_seconds: float = 600.0  # for hosts that are still pulling their image


def prepare_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Set what Ray's processes inherit; Ray reads some of it already as it is imported."""
    for name, value in {
        "RAY_worker_niceness": "0",  # 15 by default, which starves trials
        "RAY_USAGE_STATS_ENABLED": "0",
        # Else there is one more process per CPU, started before the trials' own and never used.
        "RAY_prestart_worker_first_driver": "0",
        # Progress and results are ray_tune.search's own: Tune's grow with the trials.
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _token(environ),
    }.items():
        os.environ.setdefault(name, value)
    # Workers find the trials' code by importing it.
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parents[1]), *filter(None, known)]
    )


def _token(environ: Mapping[str, str]) -> str:
    """What all hosts of a training job know and other clusters do not; no secret, see ADR 0023."""
    job = environ.get("TRAINING_JOB_ARN") or environ.get("TRAINING_JOB_NAME")
    shared = job or environ.get("SM_HOSTS") or str(os.getpid())
    return hashlib.sha256(shared.encode()).hexdigest()


@contextmanager
def node(role: str, *more: str, host: str, offer: Offer) -> Iterator[subprocess.Popen[bytes]]:
    """Ray on this host, which ends with the block.

    Args:
        role: `--head`, or `--address=` and where the head is.
        more: further options of `ray start`.
        host: this host's name.
        offer: its resources.
    """
    command = [str(Path(sys.executable).with_name("ray")), "start", role, *more, "--block"]
    command += [f"--node-ip-address={socket.gethostbyname(host)}"]
    command += [f"--num-cpus={offer.cpus}", f"--num-gpus={offer.gpus}", "--disable-usage-stats"]
    command += ["--include-log-monitor=false"]  # ray_tune.cluster drops all of it
    # Any free port: Ray's usual range is shared by all nodes of a machine that rehearses a cluster.
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


def answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True
