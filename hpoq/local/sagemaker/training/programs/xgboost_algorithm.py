"""SageMaker's built-in XGBoost algorithm, on the ``xgboost`` package.

The user's interpreter runs this file as a training script, which is why it is one file and imports
nothing of hpoq. It is used for training jobs with XGBoost's image and without a script of their
own. Hyperparameters have the names and types of the built-in algorithm. The channels ``train`` and
``validation`` hold the data. Each round prints its metrics in the form that SageMaker's metric
definitions match. ``xgboost.Booster.load_model`` reads the resulting ``xgboost-model``.
"""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

Record = dict[str, Any]
Names = Sequence[str]

# https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost_hyperparameters.html
INTEGERS: Names = (
    "csv_weights", "early_stopping_rounds", "max_bin", "max_depth", "max_leaves", "nthread",
    "num_class", "num_parallel_tree", "num_round", "one_drop", "refresh_leaf", "seed",
    "single_precision_histogram", "verbosity",
)  # fmt: skip
FLOATS: Names = (
    "aft_loss_distribution_scale", "alpha", "base_score", "colsample_bylevel", "colsample_bynode",
    "colsample_bytree", "eta", "gamma", "huber_slope", "lambda", "lambda_bias", "max_delta_step",
    "min_child_weight", "rate_drop", "scale_pos_weight", "sketch_eps", "skip_drop", "subsample",
    "tweedie_variance_power",
)  # fmt: skip
STRINGS: Names = (
    "aft_loss_distribution", "booster", "deterministic_histogram", "dsplit", "eval_metric",
    "grow_policy", "interaction_constraints", "monotone_constraints", "normalize_type",
    "objective", "predictor", "process_type", "sample_type", "save_model_on_termination",
    "silent", "tree_method", "updater", "_tuning_objective_metric",
)  # fmt: skip
NOT_FOR_XGBOOST: Names = (
    "csv_weights", "early_stopping_rounds", "eval_metric", "num_round",
    "save_model_on_termination", "_tuning_objective_metric",
)  # fmt: skip
REMOVED_FROM_XGBOOST: Names = (
    "dsplit",
    "predictor",
    "silent",
    "sketch_eps",
    "deterministic_histogram",
)
CONTENT_TYPES = {
    "csv": "csv", "text/csv": "csv",
    "libsvm": "libsvm", "text/libsvm": "libsvm", "text/x-libsvm": "libsvm",
}  # fmt: skip
MODEL = "xgboost-model"
CHECKPOINT = re.compile(r"xgboost-checkpoint\.(\d+)")


class CustomerError(Exception):
    """An error in the request or the data, which SageMaker reports as a ClientError."""


def hyperparameters(given: Mapping[str, str]) -> Record:
    """Return the hyperparameters, converted to their types.

    Raises:
        CustomerError: if a hyperparameter is missing, unknown or of another type.
    """
    typed: Record = {}
    for name, text in given.items():
        kinds = ((INTEGERS, int), (FLOATS, float), (STRINGS, str))
        kind = next((kind for names, kind in kinds if name in names), None)
        if kind is None:
            raise CustomerError(f"Extraneous hyperparameter found: {name}")
        try:
            typed[name] = kind(text)
        except ValueError:
            wanted = "an integer" if kind is int else "a number"
            raise CustomerError(f"Hyperparameter {name}: {text!r} is not {wanted}") from None
    if "num_round" not in typed:
        raise CustomerError("Missing required hyperparameter: num_round")
    if str(typed.get("objective", "")).startswith("multi:") and "num_class" not in typed:
        raise CustomerError("Require input for parameter 'num_class' for multi-classification")
    return typed


# Data


def matrix(folder: Path, content_type: str, *, weights: bool) -> Any:
    """Return the files of a channel as one ``xgboost.DMatrix``; None if it has no files.

    Raises:
        CustomerError: if the content type is unknown or a file does not have it.
    """
    import xgboost

    kind = CONTENT_TYPES.get(content_type.partition(";")[0].strip().lower())
    if kind is None:
        raise CustomerError(
            f"{content_type} is not an accepted ContentType here: {', '.join(CONTENT_TYPES)}"
        )
    files = [path for path in sorted(folder.rglob("*")) if _is_data(path)]
    if not files:
        return None
    options = f"format={kind}"
    if kind == "csv":
        options += f"&label_column=0&delimiter={_delimiter(files[0])}"
        options += "&weight_column=1" if weights else ""
    else:
        _check_libsvm(files[0])
    with xgboost.config_context(verbosity=0):
        return xgboost.DMatrix(f"{';'.join(map(str, files))}?{options}")


def _is_data(path: Path) -> bool:
    return path.is_file() and not path.name.startswith((".", "_"))


def _first_line(path: Path) -> str:
    with path.open(errors="replace") as file:
        return next((line for line in file if line.strip()), "").strip()


def _delimiter(path: Path) -> str:
    line = _first_line(path)
    try:
        delimiter = csv.Sniffer().sniff(line, ",;\t |").delimiter
        [float(each) for each in line.split(delimiter) if each.strip()]
    except (csv.Error, ValueError):
        raise CustomerError(
            f"First line '{line[:50]}...' of file '{path.name}' is not 'CSV' format: numbers, the "
            "label first, without a header"
        ) from None
    return delimiter


def _check_libsvm(path: Path) -> None:
    line = _first_line(path)
    number = r"[-+]?[\d.]+(?:[eE][-+]?\d+)?"
    if not re.fullmatch(rf"{number}(:{number})?(\s+(qid|\d+):{number})*(\s*#.*)?", line):
        raise CustomerError(
            f"First line '{line[:50]}...' of file '{path.name}' is not 'LIBSVM' format. Set the "
            "channel's ContentType to text/csv if it is CSV"
        )


# The metrics that SageMaker adds to those of XGBoost


def _confusion(predicted: Any, labels: Any) -> Any:
    """Return the counts by label (rows) and predicted class (columns)."""
    import numpy as np

    classes = predicted.argmax(axis=1) if predicted.ndim == 2 else predicted > 0.5
    if predicted.ndim == 1 and predicted.max(initial=0) > 1:
        classes = predicted  # multi:softmax predicts the class itself
    pairs = np.stack([labels.astype(int), classes.astype(int)])
    size = int(pairs.max()) + 1
    table = np.zeros((max(size, 2), max(size, 2)))
    np.add.at(table, tuple(pairs), 1)
    return table


def _of_classes(table: Any) -> tuple[Any, Any, Any]:
    """Return precision, recall and F1 of each class; 0 where undefined, as in scikit-learn."""
    import numpy as np

    def ratio(above: Any, below: Any) -> Any:
        return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

    hits = np.diag(table).copy()
    precision, recall = ratio(hits, table.sum(0)), ratio(hits, table.sum(1))
    return precision, recall, ratio(2 * precision * recall, precision + recall)


def _accuracy(table: Any) -> float:
    return float(table.trace() / table.sum())


OF_CLASSES: dict[str, Callable[[Any], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": lambda table: float(_of_classes(table)[1][table.sum(1) > 0].mean()),
    "f1": lambda table: float(_of_classes(table)[2].mean()),
    "f1_macro": lambda table: float(_of_classes(table)[2].mean()),
    "f1_binary": lambda table: float(_of_classes(table)[2][1]),
    "precision": lambda table: float(_of_classes(table)[0][1]),
    "precision_macro": lambda table: float(_of_classes(table)[0].mean()),
    "precision_micro": _accuracy,
    "recall": lambda table: float(_of_classes(table)[1][1]),
    "recall_macro": lambda table: float(_of_classes(table)[1].mean()),
    "recall_micro": _accuracy,
}


def _mse(predicted: Any, labels: Any) -> float:
    return float(((predicted - labels) ** 2).mean())


def _r2(predicted: Any, labels: Any) -> float:
    return 1 - _mse(predicted, labels) / float(labels.var() or 1)


OF_VALUES: dict[str, Callable[[Any, Any], float]] = {"mse": _mse, "r2": _r2}


def evaluation(names: Names) -> tuple[list[str], Callable[[Any, Any], Any] | None]:
    """Return XGBoost's own metrics among the names, and a function that computes the others."""
    ours = [name for name in names if name in OF_CLASSES or name in OF_VALUES]

    def measured(predicted: Any, data: Any) -> list[tuple[str, float]]:
        labels = data.get_label()
        table = _confusion(predicted, labels) if set(ours) & OF_CLASSES.keys() else None
        return [
            (name, OF_CLASSES[name](table) if name in OF_CLASSES else
             OF_VALUES[name](predicted, labels))
            for name in ours
        ]  # fmt: skip

    return [name for name in names if name not in ours], measured if ours else None


def metric_names(typed: Mapping[str, Any]) -> list[str]:
    """Return the metrics of ``eval_metric`` and the objective metric of a tuning job."""
    names = [name.strip() for name in str(typed.get("eval_metric", "")).split(",") if name.strip()]
    objective = str(typed.get("_tuning_objective_metric", "")).partition(":")[2]
    return [*names, *([objective] if objective and objective not in names else [])]


# Training


def metrics_line(round_: int, evals_log: Mapping[str, Mapping[str, Sequence[Any]]]) -> str:
    """Return a round's metrics as CloudWatch shows them, with ``#011`` for each tab."""
    values = [
        f"{data}-{metric}:{_number(history[-1]):.5f}"
        for data, metrics in evals_log.items()
        for metric, history in metrics.items()
    ]
    return "#011".join([f"[{round_}]", *values])


def _number(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)


def _callback(first: int, checkpoints: Path | None, *, save_on_sigterm: bool) -> Any:
    """Return a callback that prints metrics, saves checkpoints, and ends training on SIGTERM."""
    from xgboost.callback import TrainingCallback

    class Rounds(TrainingCallback):
        stopping = False

        def before_training(self, model: Any) -> Any:
            signal.signal(signal.SIGTERM, self._stop)
            return model

        def _stop(self, number: int, frame: FrameType | None) -> None:
            if not save_on_sigterm:
                sys.exit(0)
            self.stopping = True  # training ends after this round

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            print(metrics_line(first + epoch, evals_log), flush=True)  # noqa: T201
            if checkpoints:
                _save(model, checkpoints / f"xgboost-checkpoint.{first + epoch}")
            return self.stopping

    return Rounds()


def _save(model: Any, file: Path) -> None:
    """Save a checkpoint atomically and keep the newest five, as SageMaker does."""
    partial = file.with_name(f"{file.name}.sagemaker-uploading")
    partial.write_bytes(model.save_raw("ubj"))
    partial.replace(file)
    for old in list(_checkpoints(file.parent).values())[:-5]:
        old.unlink()


def _checkpoints(folder: Path) -> dict[int, Path]:
    """Return the checkpoints by round, oldest first."""
    found = {}
    for path in folder.iterdir():
        matched = CHECKPOINT.fullmatch(path.name)
        if matched:
            found[int(matched[1])] = path
    return dict(sorted(found.items()))


@contextmanager
def communicator(hosts: Sequence[str], here: str) -> Iterator[bool]:
    """Connect to the other hosts, if any; yield whether this host is the first."""
    if len(hosts) == 1:
        yield True
        return
    from xgboost import collective
    from xgboost.tracker import RabitTracker

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    first = here == min(hosts)
    tracker = RabitTracker(n_workers=len(hosts), host_ip=address, port=port) if first else None
    if tracker:
        tracker.start()
    with collective.CommunicatorContext(
        dmlc_communicator="rabit",
        dmlc_tracker_uri=address,
        dmlc_tracker_port=port,
        dmlc_retry=60,
    ):
        yield first
    if tracker:
        tracker.wait_for()


def train(config: Path, data: Path, model: Path, checkpoints: Path | None) -> None:
    """Train a model on the channels and save it.

    Raises:
        CustomerError: if the request or the data is invalid.
    """
    import xgboost

    typed = hyperparameters(json.loads((config / "hyperparameters.json").read_text()))
    channels = json.loads((config / "inputdataconfig.json").read_text())
    resources = json.loads((config / "resourceconfig.json").read_text())
    if "train" not in channels:
        raise CustomerError("Missing required channel: train")
    content = str(channels["train"].get("ContentType") or "libsvm")
    weights = bool(typed.get("csv_weights"))
    with communicator(resources["hosts"], resources["current_host"]) as first_host:
        watched = [(matrix(data / "train", content, weights=weights), "train")]
        if "validation" in channels:
            watched.append((matrix(data / "validation", content, weights=False), "validation"))
        for found, name in watched:
            if found is None:
                raise CustomerError(f"No data in {name} channel path {data / name}")
            print(f"{name.capitalize()} matrix has {found.num_row()} rows", flush=True)  # noqa: T201
        native, custom = evaluation(metric_names(typed))
        parameters = {
            k: v for k, v in typed.items() if k not in (*NOT_FOR_XGBOOST, *REMOVED_FROM_XGBOOST)
        }
        if parameters.get("objective") == "reg:linear":
            parameters["objective"] = "reg:squarederror"  # its name since 1.0
        done = list(_checkpoints(checkpoints).items())[-1:] if checkpoints else []
        before = done[0][0] + 1 if done else 0
        save_on_sigterm = typed.get("save_model_on_termination") == "true"
        try:
            booster = xgboost.train(
                parameters | ({"eval_metric": native} if native else {}),
                watched[0][0],
                num_boost_round=typed["num_round"] - before,
                evals=watched,
                custom_metric=custom,
                early_stopping_rounds=typed.get("early_stopping_rounds"),
                xgb_model=bytearray(done[0][1].read_bytes()) if done else None,
                callbacks=[_callback(before, checkpoints, save_on_sigterm=save_on_sigterm)],
                verbose_eval=False,
            )
        except (xgboost.core.XGBoostError, ValueError) as error:
            problem = str(error).partition("\nStack trace")[0].strip()
            raise CustomerError(f"XGB train call failed: {problem}") from None
        if first_host:
            (model / MODEL).write_bytes(booster.save_raw("ubj"))


def main() -> int:
    """Train and return the exit status; write the reason of a failure to output/failure."""
    base = Path(os.environ["SAGEMAKER_BASE_DIR"])
    folder = Path(os.environ["SM_CHECKPOINT_DIR"])
    checkpoints = folder if (base / "input/config/checkpointconfig.json").exists() else None
    try:
        train(base / "input/config", base / "input/data", base / "model", checkpoints)
    except ImportError:
        problem = f"{sys.executable}, which runs training jobs, has no xgboost"
        return report_failure(base, f"{problem}; install it: pip install xgboost-cpu")
    except CustomerError as error:
        return report_failure(base, str(error))
    return 0


def report_failure(base: Path, problem: str) -> int:
    """Write a problem to the log and to output/failure, and return the exit status."""
    (base / "output" / "failure").write_text(f"ClientError: {problem}")
    print(problem, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
