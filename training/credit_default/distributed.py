"""Join the processes of a training run: those torchrun starts, or one per SageMaker host."""

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import nn

from credit_default.hosts import hosts

PORT = 29_400
JOIN_TIMEOUT = timedelta(minutes=10)  # some hosts may still be pulling their image


@dataclass(frozen=True)
class World:
    """The group of processes that train one model, seen from one of them."""

    rank: int = 0
    size: int = 1

    @property
    def is_leader(self) -> bool:
        """Whether this process prints metrics and writes files for the group."""
        return self.rank == 0

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Return a network whose gradients are averaged over all processes."""
        if self.size == 1:
            return network
        ids = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            network, device_ids=ids, gradient_as_bucket_view=True
        )

    def without_gradient_sync(self, network: nn.Module) -> AbstractContextManager[None]:
        """Accumulate gradients in this block without averaging them over the processes."""
        if isinstance(network, nn.parallel.DistributedDataParallel):
            no_sync: AbstractContextManager[None] = network.no_sync()
            return no_sync
        return nullcontext()

    def any(self, flag: bool, device: torch.device) -> bool:
        """Return whether the flag is set in any process; every process must call this."""
        if self.size == 1:
            return flag
        flags = torch.tensor(float(flag), device=device)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
        return bool(flags)

    def mean(self, value: float, device: torch.device) -> float:
        """Return the mean over all processes; every process must call this."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        torch.distributed.all_reduce(shared)
        return float(shared) / self.size

    def from_leader(self, value: float, device: torch.device) -> float:
        """Return the leader's value, so that all processes make the same decisions."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        torch.distributed.broadcast(shared, src=0)
        return float(shared)

    def leave(self, status: int = 0) -> None:
        """Wait until all processes arrive here, then end this process with a status.

        A single process continues.
        """
        if self.size > 1:
            # Exit together: gloo aborts a process whose peer is still connected when it exits.
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
            # Skip the normal exit: on a busy machine gloo's threads sometimes abort it
            # ("terminate called without an active exception") although all work is done.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def join(backend: str, environ: Mapping[str, str] = os.environ) -> World:
    """Join the other processes, if there are any.

    torchrun sets RANK and WORLD_SIZE. Without torchrun, one process runs on each host of SM_HOSTS.
    A host that does not join within JOIN_TIMEOUT fails the run.
    """
    everyone = hosts(environ)
    if "RANK" in environ and "WORLD_SIZE" in environ:
        rank, size = int(environ["RANK"]), int(environ["WORLD_SIZE"])
        rendezvous = "env://"
    elif len(everyone) > 1:
        rank, size = everyone.index(environ["SM_CURRENT_HOST"]), len(everyone)
        rendezvous = f"tcp://{everyone[0]}:{environ.get('MASTER_PORT', PORT)}"
    else:
        return World()
    if size == 1:
        return World()
    torch.distributed.init_process_group(
        backend, init_method=rendezvous, rank=rank, world_size=size, timeout=JOIN_TIMEOUT
    )
    return World(rank, size)
