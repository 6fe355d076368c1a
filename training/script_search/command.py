"""The command line of the search of a script; starts it, or joins its cluster, on each host."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from credit_default.container import OneLineParser, TrainingFailed, base_folder, report_failure
from ray_tune.install import install_ray
from ray_tune.node import port_of
from ray_tune.supervisor import is_driver, supervise
from script_search.metrics import read_patterns
from script_search.ranges import as_text, read_space
from script_search.samplers import read_points
from script_search.settings import Search, TrialSettings
from script_search.source import check_function, source_of

_RESTART_SECONDS = 30.0  # that the first host takes to search again after its search was killed
_ON_SAGEMAKER = "SM_CURRENT_HOST"


def main(description: str, argv: Sequence[str] | None = None) -> None:
    """Run the search on the first host; on any other host, join its cluster."""
    args = _parser(description).parse_args(argv)
    with report_failure():
        install_ray()
        from ray_tune.cluster import cluster, is_head, join_cluster
        from ray_tune.node import NodeSettings

        node = NodeSettings(
            cpus=args.cpus, gpus=args.gpus, port=args.port, join_seconds=args.join_seconds
        )
        if not is_head():
            join_cluster(node, return_seconds=_RESTART_SECONDS)
            return
        state = (args.checkpoint_dir or _default_state(args.model_dir)).resolve()
        search = _search_of(args)
        folder = _folder_of_trials(search, state, checkpoints=args.trial_checkpoints == "yes")
        if not is_driver():
            sys.exit(supervise(sys.argv))
        search = replace(search, settings=replace(search.settings, folder=folder))
        with cluster(node):
            from script_search.search import SearchRun  # imports Ray, which reads its environment

            SearchRun(search, state, args.model_dir).run()


def _folder_of_trials(search: Search, state: Path, *, checkpoints: bool) -> str:
    """Return where trials keep their files: in the state of the search, if a trial may resume."""
    if checkpoints:
        return str(state / "trials")
    return f"hpoq-{search.identity[:12]}-{os.getpid()}"


def _default_state(model: Path) -> Path:
    """Return where the state of a search is kept without SageMaker's folder of checkpoints."""
    checkpoints = base_folder() / "checkpoints"
    return checkpoints if checkpoints.is_dir() else model.with_name(f"{model.name}-search")


def _parser(description: str) -> OneLineParser:
    parser = OneLineParser(description=description)
    cpus = int(os.environ.get("SM_NUM_CPUS") or os.cpu_count() or 1)
    gpus = int(os.environ.get("SM_NUM_GPUS", "0"))

    def add(name: str, convert: Callable[[str], Any], default: Any, meaning: str) -> None:
        parser.add_argument(
            name, type=convert, default=default, metavar="VALUE",
            help=f"{meaning} (default: {default})",
        )  # fmt: skip

    parser.add_argument("--script", required=True, help="path of the script within its source")
    parser.add_argument("--source", help="folder or tar.gz of the script (default: its channel)")
    parser.add_argument(
        "--function", default="",
        help="function of the script to call for each trial, in processes that keep imports and "
        "data (default: start the script for each trial)",
    )  # fmt: skip
    parser.add_argument("--space", required=True, help="JSON, as a request's hyperparameter_ranges")
    parser.add_argument("--metrics", required=True, help="JSON: regular expressions by metric")
    parser.add_argument("--objective", required=True, help="metric to optimize")
    parser.add_argument("--direction", choices=["Maximize", "Minimize"], default="Maximize")
    parser.add_argument("--fixed", default="{}", help="JSON: hyperparameters that are not searched")
    parser.add_argument("--points", default="[]", help="JSON: hyperparameters to try first")
    parser.add_argument(
        "--repeats", default="{}", help="JSON: values by hyperparameter, for each of the points"
    )
    parser.add_argument("--algorithm", choices=["random", "optuna"], default="random")
    parser.add_argument("--scheduler", choices=["asha", "none"], default="asha")
    add("--trials", int, 40, "number of trials")
    add("--parallel", int, 0, "trials at once; 0: as many as fit")
    add("--grace", int, 1, "values of the objective before ASHA may stop a trial")
    add("--reduction-factor", int, 4, "ASHA continues one trial in this many")
    add("--trials-per-host", int, 0, "trials that share a host; 0: by --cpus-per-trial")
    add("--cpus-per-trial", float, 1.0, "CPUs per trial")
    add("--gpus-per-trial", float, 0.0, "GPUs per trial; a fraction shares a GPU")
    add("--cpus", int, cpus, "CPUs of this host to use")
    add("--gpus", int, gpus, "GPUs of this host to use")
    add("--search-seed", int, 0, "random seed of the search")
    add("--retries", int, 3, "retries of a trial whose process is lost")
    add("--minutes", float, 0.0, "start no trial after this time; 0: no limit")
    parser.add_argument(
        "--trial-checkpoints", choices=["yes", "no"], default="no",
        help="keep what trials write to SM_CHECKPOINT_DIR, so that they can resume (default: no)",
    )  # fmt: skip
    parser.add_argument("--target", type=float, help="end the search at this objective")
    add("--progress-seconds", float, 5.0, "seconds between progress lines")
    add("--port", int, port_of(), "Ray's port on the first of several hosts")
    add("--join-seconds", float, 600.0, "seconds to wait for other hosts")
    model = os.environ.get("SM_MODEL_DIR", "model")
    add("--model-dir", Path, Path(model), "folder of the best model")
    parser.add_argument("--checkpoint-dir", type=Path, help="folder of the search's state")
    # SageMaker passes this flag along with the hyperparameters.
    parser.add_argument("--_tuning_objective_metric", help=argparse.SUPPRESS)
    return parser


def _search_of(args: argparse.Namespace) -> Search:
    space = read_space(_json(args.space, "--space"))
    fixed = _json(args.fixed, "--fixed")
    patterns = read_patterns(_json(args.metrics, "--metrics"))
    if args.objective not in patterns:
        raise TrainingFailed(f"--objective: {args.objective} is none of {', '.join(patterns)}")
    both = sorted(set(space) & set(fixed))
    if both:
        raise TrainingFailed(f"--fixed: {both[0]} is searched, too. Keep it in one of them")
    cpus, gpus = args.cpus_per_trial, args.gpus_per_trial
    if args.trials_per_host:
        cpus, gpus = args.cpus / args.trials_per_host, args.gpus / args.trials_per_host
    source = source_of(args.source)
    if args.function:
        check_function(source, args.script, args.function)
    settings = TrialSettings(
        script=args.script,
        source=source,
        fixed={name: as_text(value) for name, value in fixed.items()},
        patterns=patterns,
        objective=args.objective,
        maximize=args.direction == "Maximize",
        cpus=cpus,
        gpus=gpus,
        function=args.function,
        directory="" if _ON_SAGEMAKER in os.environ else str(Path.cwd()),
    )
    return Search(
        settings=settings,
        space=space,
        trials=args.trials,
        parallel=args.parallel,
        algorithm=args.algorithm,
        halving=args.scheduler == "asha",
        grace=args.grace,
        factor=args.reduction_factor,
        seed=args.search_seed,
        points=tuple(
            read_points(_json(args.points, "--points"), space, _json(args.repeats, "--repeats"))
        ),
        retries=args.retries,
        minutes=args.minutes,
        target=args.target,
        progress_seconds=args.progress_seconds,
    )


def _json(text: str, flag: str) -> Any:
    """Parse JSON that may be encoded twice, for a container that decodes once."""
    try:
        found = json.loads(text)
        return json.loads(found) if isinstance(found, str) else found
    except ValueError as error:
        raise TrainingFailed(f"{flag}: not valid JSON ({error})") from None
