"""One Ray cluster of all hosts of a training job: the first is the head, the others join it."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from credit_default.hosts import HostMissing, hosts
from ray_tune.node import NodeSettings, is_listening, prepare_environment, ray_node

_POLL_SECONDS = 0.5
_HEAD_GONE_SECONDS = 3.0  # the same, if the head may start again
_HEAD_TIMEOUT_SECONDS = 10.0  # a worker leaves when the head has not answered for this long


def is_head(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this host runs the search."""
    everyone = hosts(environ)
    return len(everyone) < 2 or environ["SM_CURRENT_HOST"] == everyone[0]


@contextmanager
def cluster(settings: NodeSettings, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Start the cluster on the head, connect to it, and shut it down with the block.

    Raises:
        HostMissing: a host did not join in time.
    """
    prepare_environment(environ)
    everyone = hosts(environ)
    with _all_hosts(everyone, settings) if len(everyone) > 1 else _this_host(settings):
        yield


@contextmanager
def _this_host(settings: NodeSettings) -> Iterator[None]:
    import ray

    ray.init(
        address="local",  # without an address, Ray joins any cluster it finds
        num_cpus=settings.cpus,
        num_gpus=settings.gpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _all_hosts(everyone: list[str], settings: NodeSettings) -> Iterator[None]:
    import ray

    head, port = everyone[0], settings.port
    with _head_node(head, settings):
        ray.init(address=f"{head}:{port}", log_to_driver=False, logging_level=logging.WARNING)
        try:
            _wait_until(
                lambda: count_live_nodes() >= len(everyone),
                settings,
                lambda: f"{count_live_nodes()} of {len(everyone)} hosts have joined the cluster",
            )
            print(f"{len(everyone)} hosts form one Ray cluster", file=sys.stderr, flush=True)
            yield
        finally:
            ray.shutdown()


@contextmanager
def _head_node(head: str, settings: NodeSettings) -> Iterator[None]:
    """Run the head until the block ends.

    Ray refuses to start while a process of an earlier head's cluster runs, so try again.
    """
    port, ended = settings.port, False

    def is_up() -> bool:
        nonlocal ended
        ended = node.poll() is not None
        return ended or is_listening(head, port)

    deadline = time.monotonic() + settings.join_seconds
    while True:
        options = (f"--port={port}", "--include-dashboard=false")
        with ray_node("--head", *options, host=head, settings=settings) as node:
            _wait_until(is_up, settings, lambda: f"no Ray on {head}:{port}")
            if not ended:
                yield
                return
        if time.monotonic() > deadline:
            raise HostMissing(f"no Ray on {head}:{port} after {settings.join_seconds:g} seconds")
        time.sleep(_POLL_SECONDS)


def join_cluster(
    settings: NodeSettings,
    environ: Mapping[str, str] = os.environ,
    *,
    return_seconds: float = 0.0,
) -> None:
    """Join the head's cluster from any other host, and stay until the head has ended.

    Start a new node if this host's node ends while the head is still running.

    Args:
        settings: this host's resources.
        environ: the variables of the training job on this host.
        return_seconds: to wait for a head that starts again after it was killed.

    Raises:
        HostMissing: the head was not reachable in time.
    """
    prepare_environment(environ)
    head, here, port = hosts(environ)[0], environ["SM_CURRENT_HOST"], settings.port
    _wait_until(lambda: is_listening(head, port), settings, lambda: f"no Ray on {head}:{port}")
    while _listens_within(return_seconds, head, port):
        with ray_node(f"--address={head}:{port}", host=here, settings=settings) as joined:
            last_answer = time.monotonic()
            # A head that starts again knows none of its nodes: leave it to join the new one.
            patience = _HEAD_TIMEOUT_SECONDS if not return_seconds else _HEAD_GONE_SECONDS
            while joined.poll() is None and time.monotonic() - last_answer < patience:
                time.sleep(_POLL_SECONDS)
                if is_listening(head, port):
                    last_answer = time.monotonic()
        time.sleep(_POLL_SECONDS)


def _listens_within(seconds: float, head: str, port: int) -> bool:
    """Return whether the head answers before a time has passed."""
    deadline = time.monotonic() + seconds
    while not (listening := is_listening(head, port)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return listening


def count_live_nodes() -> int:
    """Return the number of nodes in the cluster that can run trials."""
    import ray

    return sum(bool(each["Alive"]) for each in ray.nodes())  # type: ignore[no-untyped-call]


def _wait_until(
    ready: Callable[[], bool], settings: NodeSettings, describe: Callable[[], str]
) -> None:
    deadline = time.monotonic() + settings.join_seconds
    while not ready():
        if time.monotonic() > deadline:
            raise HostMissing(f"{describe()} after {settings.join_seconds:g} seconds")
        time.sleep(_POLL_SECONDS)
