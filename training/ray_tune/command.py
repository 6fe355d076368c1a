"""The command line of both Ray scripts, and what each host of a training job does."""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from credit_default.container import (
    Failure,
    Folders,
    OneLineParser,
    base,
    reasons_reported,
    write_reason,
)
from credit_default.distributed import hosts
from credit_default.hyperparameters import Hyperparameters, flag, number, one_of, text
from credit_default.run import INTERRUPTED
from ray_tune.space import SPACE, space

if TYPE_CHECKING:
    from ray_tune.search import Search

_FIXED = "fixed:"  # before the argparse names of hyperparameters


def main(description: str, *, gpu: bool, argv: Sequence[str] | None = None) -> None:
    """Search on the first host; on any other, lend its resources to the search."""
    parser = _parser(description, gpu=gpu)
    args = parser.parse_args(argv)
    folders = Folders.from_args(args, parser)
    if gpu and not args.gpus:
        reason = "there is no GPU here; train_ray_cpu.py searches on CPU"
        write_reason(reason)
        parser.exit(2, f"error: {reason}\n")
    if len(hosts()) > 1 and args.checkpoint_epochs and "://" not in (args.storage or ""):
        parser.error(
            "--checkpoint-epochs on several hosts needs a --storage that all of them reach"
        )
    signal.signal(signal.SIGTERM, _leave)
    with reasons_reported():
        _install()
        from ray_tune.cluster import cluster, is_head, lend
        from ray_tune.node import Offer

        offer = Offer(
            cpus=args.cpus, gpus=args.gpus, port=args.port, join_seconds=args.join_seconds
        )
        if not is_head():
            lend(offer)
            return
        with cluster(offer):
            from ray_tune.search import search  # imports Ray, whose environment is ready only now

            search(_wanted(args, gpu=gpu), folders)


def _leave(number: int, frame: FrameType | None) -> None:
    """On SIGTERM, end as at an error: the processes of this host end, too."""
    raise SystemExit(INTERRUPTED)


def _parser(description: str, *, gpu: bool) -> OneLineParser:
    parser = OneLineParser(description=description)
    Folders.add_to(parser)
    add = parser.add_argument
    add("--trials", type=number(int, 1, 10**6), default=40, help="sets to try (default 40)")
    add("--parallel", type=number(int, 0, 10**5), default=0, help="at once; 0: all that fit")
    add("--algorithm", type=one_of("random", "optuna", "hyperopt"), default="random")
    add("--scheduler", type=one_of("asha", "none"), default="asha")
    add("--grace-epochs", type=number(int, 1, 10**5), default=1, help="before ASHA may stop one")
    add("--reduction-factor", type=number(int, 2, 100), default=4, help="of which one goes on")
    add("--checkpoint-epochs", type=number(int, 0, 10**5), default=0, help="between a trial's")
    add("--failures", type=number(int, 0, 1000), default=3, help="of a trial that are forgiven")
    add("--progress-seconds", type=number(float, 0, 86400), default=5.0, help="between its lines")
    add("--search-seed", type=number(int, 0, 2**31 - 1), default=0, help="of the sets tried")
    add("--space", type=space, default=SPACE, help="JSON, as a request's hyperparameter_ranges")
    add("--storage", help="folder or s3:// URI of the search's state (default: the checkpoints)")
    cpus = int(os.environ.get("SM_NUM_CPUS", os.cpu_count() or 1))
    add("--cpus", type=number(int, 1, 1024), default=cpus, help="of this host (default: all)")
    add("--cpus-per-trial", type=number(float, 0, 1024, above=True), default=1.0)
    add("--gpus", type=number(int, 0, 64), default=_gpus() if gpu else 0, help="of this host")
    add("--gpus-per-trial", type=number(float, 0, 64), default=0.25 if gpu else 0.0)
    add("--port", type=number(int, 1, 65535), default=6379, help="of Ray, with several hosts")
    add("--join-seconds", type=number(float, 1, 86400), default=600.0, help="hosts have to join")
    for name, convert, meaning in Hyperparameters.described():
        add(flag(name), dest=_FIXED + name, type=convert, help=f"{meaning}; not searched if given")
    return parser


def _wanted(args: argparse.Namespace, *, gpu: bool) -> "Search":
    from ray_tune.search import Search

    given = {n.removeprefix(_FIXED): v for n, v in vars(args).items() if n.startswith(_FIXED)}
    fixed = {flag(n)[2:]: text(v) for n, v in given.items() if v is not None}
    storage = args.storage or str((args.checkpoint_dir or base() / "ray-results").resolve())
    return Search(
        space={name: each for name, each in args.space.items() if name not in fixed},
        fixed=fixed,
        storage=storage,
        seed=args.search_seed,
        **{
            name: getattr(args, name)
            for name in (
                "trials",
                "parallel",
                "algorithm",
                "scheduler",
                "grace_epochs",
                "reduction_factor",
                "checkpoint_epochs",
                "failures",
                "progress_seconds",
                "cpus_per_trial",
                "gpus_per_trial",
            )
        },
    )


def _gpus() -> int:
    if "SM_NUM_GPUS" in os.environ:
        return int(os.environ["SM_NUM_GPUS"])
    import torch

    return torch.cuda.device_count()


def _install() -> None:
    """SageMaker's PyTorch container has no Ray."""
    if importlib.util.find_spec("ray") is None:
        listed = Path(__file__).parents[1] / "requirements-ray.txt"
        print(f"installing {listed.name}", file=sys.stderr)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "-r", str(listed)]
        if subprocess.run(pip, check=False).returncode:
            raise Failure(f"pip cannot install {listed.name}; use an image that has Ray")
