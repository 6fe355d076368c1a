"""One Ray cluster of all of SageMaker's hosts: the head on the first, the others joining it."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from credit_default.distributed import HostMissing, hosts
from ray_tune.node import Offer, answers, node, prepare_environment

_LOOK_EVERY_SECONDS = 0.5
_GONE_AFTER_SECONDS = 10.0  # a head that has not answered for so long has ended


def is_head(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this host runs the search; the others only lend what they have."""
    everyone = hosts(environ)
    return len(everyone) < 2 or environ["SM_CURRENT_HOST"] == everyone[0]


@contextmanager
def cluster(offer: Offer, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """On the head: connected to the whole cluster, which ends with the block.

    Raises:
        HostMissing: a host has not joined in time.
    """
    prepare_environment(environ)
    everyone = hosts(environ)
    with _all_hosts(everyone, offer) if len(everyone) > 1 else _this_host(offer):
        yield


@contextmanager
def _this_host(offer: Offer) -> Iterator[None]:
    import ray

    ray.init(
        address="local",  # without it, Ray joins any cluster that it finds
        num_cpus=offer.cpus,
        num_gpus=offer.gpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _all_hosts(everyone: list[str], offer: Offer) -> Iterator[None]:
    import ray

    head, port = everyone[0], offer.port
    with node("--head", f"--port={port}", "--include-dashboard=false", host=head, offer=offer):
        _await(lambda: answers(head, port), offer, lambda: f"no Ray on {head}:{port}")
        ray.init(address=f"{head}:{port}", log_to_driver=False, logging_level=logging.WARNING)
        try:
            _await(
                lambda: alive() >= len(everyone),
                offer,
                lambda: f"{alive()} of {len(everyone)} hosts have joined the cluster",
            )
            print(f"{len(everyone)} hosts form one Ray cluster", file=sys.stderr, flush=True)
            yield
        finally:
            ray.shutdown()


def lend(offer: Offer, environ: Mapping[str, str] = os.environ) -> None:
    """On any other host: join the head's cluster, and stay until the head has gone.

    A node that is lost meanwhile is replaced: the search can do without, but need not.

    Raises:
        HostMissing: the head was not there in time.
    """
    prepare_environment(environ)
    head, here = hosts(environ)[0], environ["SM_CURRENT_HOST"]
    _await(lambda: answers(head, offer.port), offer, lambda: f"no Ray on {head}:{offer.port}")
    while answers(head, offer.port):
        with node(f"--address={head}:{offer.port}", host=here, offer=offer) as joined:
            seen = time.monotonic()
            while joined.poll() is None and time.monotonic() - seen < _GONE_AFTER_SECONDS:
                time.sleep(_LOOK_EVERY_SECONDS)
                if answers(head, offer.port):
                    seen = time.monotonic()
        time.sleep(_LOOK_EVERY_SECONDS)


def alive() -> int:
    """Nodes of the cluster that can run trials."""
    import ray

    return sum(bool(each["Alive"]) for each in ray.nodes())  # type: ignore[no-untyped-call]


def _await(ready: Callable[[], bool], offer: Offer, lacking: Callable[[], str]) -> None:
    deadline = time.monotonic() + offer.join_seconds
    while not ready():
        if time.monotonic() > deadline:
            raise HostMissing(f"{lacking()} after {offer.join_seconds:g} seconds")
        time.sleep(_LOOK_EVERY_SECONDS)
