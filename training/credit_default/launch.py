"""Start one process per device on every host, and choose what they talk over."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence

from credit_default.distributed import PORT, hosts

SMDDP = "smdistributed.dataparallel.torch.torch_smddp"
# https://docs.aws.amazon.com/sagemaker/latest/dg/distributed-data-parallel-support.html
SMDDP_INSTANCES = ("ml.p4d.24xlarge", "ml.p4de.24xlarge")


def launched(environ: Mapping[str, str]) -> bool:
    """Whether torchrun, or SageMaker's own launcher, has started this process already."""
    return "RANK" in environ and "LOCAL_RANK" in environ


def torchrun(
    script: str, arguments: Sequence[str], environ: Mapping[str, str], processes: int
) -> list[str] | None:
    """The command that starts the script in every process of this host; None if it is the only one.

    Args:
        processes: on this host, and on each of the others.
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


def backend(device: str, processes_per_device: int, environ: Mapping[str, str]) -> tuple[str, str]:
    """What the processes talk over, and why, in a few words."""
    if device == "cpu":
        return "gloo", "the processes are on CPU"
    if processes_per_device > 1:
        return "gloo", "NCCL refuses processes that share a device"
    if environ.get("SM_CURRENT_INSTANCE_TYPE") in SMDDP_INSTANCES and _registered(SMDDP):
        return "smddp", "SageMaker's library for this instance type"
    return "nccl", "smddp is not at hand"


def _registered(module: str) -> bool:
    """Import a module, which registers its backend; False where it is not installed."""
    try:
        if importlib.util.find_spec(module) is None:
            return False
    except ModuleNotFoundError:  # a parent package is missing
        return False
    importlib.import_module(module)
    return True
