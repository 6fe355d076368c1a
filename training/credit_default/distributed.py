"""Join the other processes of a training run: torchrun's, or one on each of SageMaker's hosts."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import nn

PORT = 29_400
DEADLINE = timedelta(minutes=10)  # for hosts that are still pulling their image


class HostMissing(TimeoutError):
    """A host of this training job was not there in time."""


@dataclass(frozen=True)
class World:
    """The processes that train one model together, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that prints and writes."""
        return self.rank == 0

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network, its gradients averaged over all processes."""
        if self.size == 1:
            return network
        ids = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            network, device_ids=ids, gradient_as_bucket_view=True
        )

    def unsynchronised(self, network: nn.Module) -> AbstractContextManager[None]:
        """Within it, backward passes add up gradients without averaging them."""
        if isinstance(network, nn.parallel.DistributedDataParallel):
            held_back: AbstractContextManager[None] = network.no_sync()
            return held_back
        return nullcontext()

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in any process. All have to ask."""
        if self.size == 1:
            return flag
        flags = torch.tensor(float(flag), device=device)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
        return bool(flags)

    def mean(self, value: float, device: torch.device) -> float:
        """The mean over all processes. All have to ask."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        torch.distributed.all_reduce(shared)
        return float(shared) / self.size

    def leading(self, value: float, device: torch.device) -> float:
        """The leader's value, in every process: decisions then cannot part ways."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        torch.distributed.broadcast(shared, src=0)
        return float(shared)

    def leave(self, status: int = 0) -> None:
        """Part from the others, once all have come this far, and end this process with a status.

        Where there are no others, nothing happens.
        """
        if self.size > 1:
            # Together: gloo aborts a process whose peer is still on the line at its exit.
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
            # At once: on a busy machine the exit of one whose threads talked to others now and
            # then aborts ("terminate called without an active exception"), all work done.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def hosts(environ: Mapping[str, str] = os.environ) -> list[str]:
    """SageMaker's hosts of this training job, the first leading; [] on a laptop."""
    names: list[str] = json.loads(environ.get("SM_HOSTS", "[]"))
    return sorted(names, key=lambda name: (len(name), name))  # algo-2 before algo-10


def join(backend: str, environ: Mapping[str, str] = os.environ) -> World:
    """Meet the other processes, if there are any.

    torchrun says who this is by RANK and WORLD_SIZE. Without it, there is one process per host
    of SM_HOSTS. A host that has not come after DEADLINE fails the run.
    """
    everyone = hosts(environ)
    if "RANK" in environ and "WORLD_SIZE" in environ:
        rank, size = int(environ["RANK"]), int(environ["WORLD_SIZE"])
        meeting_point = "env://"
    elif len(everyone) > 1:
        rank, size = everyone.index(environ["SM_CURRENT_HOST"]), len(everyone)
        meeting_point = f"tcp://{everyone[0]}:{environ.get('MASTER_PORT', PORT)}"
    else:
        return World()
    if size == 1:
        return World()
    torch.distributed.init_process_group(
        backend, init_method=meeting_point, rank=rank, world_size=size, timeout=DEADLINE
    )
    return World(rank, size)
