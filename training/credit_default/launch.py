"""Start one process per device on every host, and choose their communication backend."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence

from credit_default.distributed import PORT
from credit_default.hosts import hosts

SMDDP = "smdistributed.dataparallel.torch.torch_smddp"
# https://docs.aws.amazon.com/sagemaker/latest/dg/distributed-data-parallel-support.html
SMDDP_INSTANCES = ("ml.p4d.24xlarge", "ml.p4de.24xlarge")


def is_launched(environ: Mapping[str, str]) -> bool:
    """Return whether torchrun or SageMaker's own launcher started this process."""
    return "RANK" in environ and "LOCAL_RANK" in environ


def torchrun_command(
    script: str, arguments: Sequence[str], environ: Mapping[str, str], processes: int
) -> list[str] | None:
    """Return the command that starts this host's processes; None if one process is enough.

    Args:
        script: path of the training script.
        arguments: the script's command line.
        environ: SageMaker's environment variables.
        processes: number of processes per host.
    """
    everyone = hosts(environ)
    if processes == 1 and len(everyone) < 2:
        return None
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    if len(everyone) < 2:
        command.append("--standalone")
    else:
        command += [
            f"--nnodes={len(everyone)}",
            f"--node-rank={everyone.index(environ['SM_CURRENT_HOST'])}",
            f"--master-addr={everyone[0]}",
            f"--master-port={environ.get('MASTER_PORT', PORT)}",
        ]
    return [*command, script, *arguments]


def choose_backend(
    device: str, processes_per_device: int, environ: Mapping[str, str]
) -> tuple[str, str]:
    """Return the backend the processes communicate over, and the reason for that choice."""
    if device == "cpu":
        return "gloo", "the processes are on CPU"
    if processes_per_device > 1:
        return "gloo", "NCCL rejects processes that share a device"
    if environ.get("SM_CURRENT_INSTANCE_TYPE") in SMDDP_INSTANCES and _register(SMDDP):
        return "smddp", "SageMaker's library for this instance type"
    return "nccl", "smddp is not available"


def _register(module: str) -> bool:
    """Import a module, which registers its backend; return False if it is not installed."""
    try:
        if importlib.util.find_spec(module) is None:
            return False
    except ModuleNotFoundError:  # a parent package is missing
        return False
    importlib.import_module(module)
    return True
