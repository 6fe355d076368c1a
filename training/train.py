"""Train the credit-default classifier on GPU, one process per device, on one host or many.

Locally:       python training/train.py --data-dir data/credit-default --batch-size 8192
               (or under torchrun; --device cpu --processes 2 tries it without a GPU)
On SageMaker:  unchanged; the SM_* variables supply the folders, the hosts and the number of GPUs.
Prints the same lines as train_cpu.py. --batch-size is in rows per process.
"""

import os
import sys
from collections.abc import Sequence

import torch

from credit_default.container import Folders, OneLineParser, report_failure, write_failure_reason
from credit_default.distributed import World, join
from credit_default.hyperparameters import Hyperparameters, number, one_of
from credit_default.launch import choose_backend, is_launched, torchrun_command
from credit_default.optimization import PRECISIONS
from credit_default.run import run


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, then start the processes or train as one of them."""
    parser = OneLineParser(description="Train the credit-default classifier on GPU.")
    Folders.add_to(parser)
    Hyperparameters.add_to(parser)
    parser.add_argument(
        "--precision",
        type=one_of(*PRECISIONS),
        default="bfloat16",
        help="lowest precision of matrix products: bfloat16 (default) or float32",
    )
    parser.add_argument(
        "--device", type=one_of("cuda", "cpu"), default="cuda", help="cuda (default) or cpu"
    )
    parser.add_argument(
        "--processes",
        type=number(int, 1, 1024),
        default=int(os.environ.get("SM_NUM_GPUS", "0")),
        help="processes per host (default: one per GPU)",
    )
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(argv)
    folders = Folders.from_args(args, parser)
    devices = torch.cuda.device_count() if args.device == "cuda" else 1
    if devices == 0:
        reason = "there is no GPU here; train_cpu.py trains on CPU"
        write_failure_reason(reason)
        parser.exit(2, f"error: {reason}\n")
    processes = args.processes or devices
    command = torchrun_command(__file__, argv, os.environ, processes)
    if command and not is_launched(os.environ):
        os.execv(command[0], command)  # noqa: S606  torchrun replaces this process
    with report_failure():
        device, world = _join(args.device, devices)
        run(
            Hyperparameters.from_args(args),
            folders,
            device=device,
            world=world,
            precision=PRECISIONS[args.precision],
        )


def _join(kind: str, devices: int) -> tuple[torch.device, World]:
    """Return this process's device and the group of processes it trains with."""
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    name, why = choose_backend(kind, -(-local_size // devices), os.environ)
    device = torch.device("cpu")
    if kind == "cuda":
        device = torch.device("cuda", local_rank % devices)
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
    world = join(name)
    if world.is_leader and world.size > 1:
        print(f"{world.size} processes over {name}: {why}", file=sys.stderr, flush=True)
    return device, world


if __name__ == "__main__":
    main()
