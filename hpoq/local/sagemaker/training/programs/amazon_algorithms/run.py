"""One training job of an algorithm: its channels, its model, and the reason of its failure."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ClientFault

KMEANS, LINEAR_LEARNER = "kmeans", "linear-learner"
CHANNELS = {KMEANS: ("train", "test"), LINEAR_LEARNER: ("train", "validation", "test")}
MODEL = "model.json"
SEED = 1
Config = Mapping[str, Any]


def main(algorithm: str) -> int:
    """Train and return the exit status; write the reason of a failure to output/failure."""
    base = Path(os.environ["SAGEMAKER_BASE_DIR"])
    try:
        _train(algorithm, base)
    except ImportError as error:
        package = "scikit-learn" if str(error.name).startswith("sklearn") else str(error.name)
        problem = f"{sys.executable}, which runs training jobs, has no {package}"
        return _failed(base, f"{problem}; install it: pip install {package}")
    except ClientFault as error:
        return _failed(base, str(error))
    return 0


def _train(algorithm: str, base: Path) -> None:
    from . import hyperparameters

    config = base / "input" / "config"
    given, channels = (
        json.loads((config / f"{name}.json").read_text())
        for name in ("hyperparameters", "inputdataconfig")
    )
    if "train" not in channels:
        raise ClientFault("Missing required channel: train")
    model = base / "model" / MODEL
    if algorithm == KMEANS:
        values = hyperparameters.parsed(hyperparameters.KMEANS, given)
        metric = str(given.get("_tuning_objective_metric", "")).partition(":")[2]
        if metric and metric not in values["eval_metrics"]:
            values["eval_metrics"] = [*values["eval_metrics"], metric]
        _train_kmeans(values, _rows(algorithm, base, channels, values), model)
    else:
        values = hyperparameters.parsed(hyperparameters.LINEAR_LEARNER, given)
        _train_linear_learner(values, base, channels, model)


def _train_kmeans(values: Config, rows: Mapping[str, Any], model: Path) -> None:
    from . import kmeans

    kmeans.save(kmeans.train(values, rows, _say, SEED), model)


def _train_linear_learner(values: Config, base: Path, channels: Config, model: Path) -> None:
    from . import linear_learner

    linear_learner.check(values)
    rows = _rows(LINEAR_LEARNER, base, channels, values)
    linear_learner.train(values, rows, _say, SEED).save(model)


def _rows(algorithm: str, base: Path, channels: Config, values: Config) -> dict[str, Any]:
    from .record_io import rows_of

    width = values["feature_dim"] if isinstance(values["feature_dim"], int) else None
    found = {}
    for name in CHANNELS[algorithm]:
        if name in channels:
            content_type = str(channels[name].get("ContentType") or "")
            folder = base / "input" / "data" / name
            labels = algorithm == LINEAR_LEARNER
            found[name] = rows_of(folder, content_type, feature_dim=width, labels=labels)
    return found


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _failed(base: Path, problem: str) -> int:
    (base / "output" / "failure").write_text(f"ClientError: {problem}")
    print(f"Customer Error: {problem}", file=sys.stderr)  # noqa: T201
    return 1
