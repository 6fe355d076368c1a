"""The command line of both Ray scripts; starts the search or joins the cluster on each host."""

import argparse
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from credit_default.container import (
    Folders,
    OneLineParser,
    base_folder,
    report_failure,
    write_failure_reason,
)
from credit_default.hosts import hosts
from credit_default.hyperparameters import Hyperparameters, flag, number, one_of, text
from credit_default.run import INTERRUPTED
from ray_tune.install import install_ray
from ray_tune.node import port_of
from ray_tune.space import SPACE, space

if TYPE_CHECKING:
    from ray_tune.search import SearchSettings

_FIXED = "fixed:"  # before the argparse names of hyperparameters


def main(description: str, *, gpu: bool, argv: Sequence[str] | None = None) -> None:
    """Run the search on the first host; on any other host, join its cluster."""
    parser = _parser(description, gpu=gpu)
    args = parser.parse_args(argv)
    folders = Folders.from_args(args, parser)
    if gpu and not args.gpus:
        reason = "there is no GPU here; train_ray_cpu.py searches on CPU"
        write_failure_reason(reason)
        parser.exit(2, f"error: {reason}\n")
    if len(hosts()) > 1 and args.checkpoint_epochs and "://" not in (args.storage or ""):
        parser.error(
            "--checkpoint-epochs on several hosts requires a --storage that all of them can reach"
        )
    signal.signal(signal.SIGTERM, _exit)
    with report_failure():
        install_ray()
        from ray_tune.cluster import cluster, is_head, join_cluster
        from ray_tune.node import NodeSettings

        settings = NodeSettings(
            cpus=args.cpus, gpus=args.gpus, port=args.port, join_seconds=args.join_seconds
        )
        if not is_head():
            join_cluster(settings)
            return
        with cluster(settings):
            from ray_tune.search import run_search  # imports Ray, which reads its environment

            run_search(_search_settings(args, gpu=gpu), folders)


def _exit(number: int, frame: FrameType | None) -> None:
    """Exit on SIGTERM by an exception, so that the Ray processes of this host end too."""
    raise SystemExit(INTERRUPTED)


def _parser(description: str, *, gpu: bool) -> OneLineParser:
    parser = OneLineParser(description=description)
    Folders.add_to(parser)
    gpus = _count_gpus() if gpu else 0
    cpus = int(os.environ.get("SM_NUM_CPUS", os.cpu_count() or 1))

    def add(name: str, convert: Callable[[str], Any], default: Any, meaning: str) -> None:
        parser.add_argument(
            name, type=convert, default=default, metavar="VALUE",
            help=f"{meaning} (default: {default})",
        )  # fmt: skip

    add("--trials", number(int, 1, 10**6), 40, "number of trials")
    add("--parallel", number(int, 0, 10**5), 0, "trials at once; 0: as many as fit")
    add("--algorithm", one_of("random", "optuna", "hyperopt"), "random", "random, optuna, hyperopt")
    add("--scheduler", one_of("asha", "none"), "asha", "asha, none")
    add("--grace-epochs", number(int, 1, 10**5), 1, "epochs before ASHA may stop a trial")
    add("--reduction-factor", number(int, 2, 100), 4, "ASHA continues one trial in this many")
    add("--checkpoint-epochs", number(int, 0, 10**5), 0, "epochs between checkpoints; 0: none")
    add("--failures", number(int, 0, 1000), 3, "retries of a trial that fails")
    add("--progress-seconds", number(float, 0, 86400), 5.0, "seconds between progress lines")
    add("--minutes", number(float, 0, 10**6), 0.0, "end the search after this time; 0: no limit")
    add("--search-seed", number(int, 0, 2**31 - 1), 0, "random seed of the search")
    add("--cpus", number(int, 1, 1024), cpus, "CPUs of this host to use")
    add("--cpus-per-trial", number(float, 0, 1024, above=True), 1.0, "CPUs per trial")
    add("--gpus", number(int, 0, 64), gpus, "GPUs of this host to use")
    add("--gpus-per-trial", number(float, 0, 64), 0.25 if gpu else 0.0, "GPUs per trial")
    add("--port", number(int, 1, 65535), port_of(), "Ray's port on the first of several hosts")
    add("--join-seconds", number(float, 1, 86400), 600.0, "seconds to wait for other hosts")
    parser.add_argument(
        "--target", type=number(float, 0, 1), help="end the search at this validation:auc"
    )
    parser.add_argument(
        "--space", type=space, default=SPACE, help="JSON, as a request's hyperparameter_ranges"
    )
    parser.add_argument(
        "--storage", help="folder or s3:// URI of the search's state (default: --checkpoint-dir)"
    )
    for name, convert, meaning in Hyperparameters.options():
        parser.add_argument(
            flag(name), dest=_FIXED + name, type=convert, metavar="VALUE",
            help=f"{meaning}; a given value is not searched",
        )  # fmt: skip
    return parser


def _search_settings(args: argparse.Namespace, *, gpu: bool) -> "SearchSettings":
    from ray_tune.search import SearchSettings

    given = {n.removeprefix(_FIXED): v for n, v in vars(args).items() if n.startswith(_FIXED)}
    fixed = {flag(n)[2:]: text(v) for n, v in given.items() if v is not None}
    # On a laptop, there is no /opt/ml, and an ordinary user cannot create it.
    base = base_folder() if base_folder().is_dir() else args.model_dir.parent
    storage = args.storage or str(args.checkpoint_dir or base / "ray-results")
    return SearchSettings(
        space={name: each for name, each in args.space.items() if name not in fixed},
        fixed=fixed,
        storage=storage if "://" in storage else str(Path(storage).resolve()),
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
                "minutes",
                "target",
                "cpus_per_trial",
                "gpus_per_trial",
            )
        },
    )


def _count_gpus() -> int:
    if "SM_NUM_GPUS" in os.environ:
        return int(os.environ["SM_NUM_GPUS"])
    import torch

    return torch.cuda.device_count()
