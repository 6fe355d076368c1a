"""Predict defaults from raw rows with a trained model.

On a laptop:   python training/predict.py --model model.tar.gz --data customers.csv
On SageMaker:  the same, wherever the training job's model.tar.gz is at hand
Reads the 23 raw columns from a CSV file, from UCI's .xls, or from a folder of .npz parts; writes
`probability,default` per row to standard output, or to --out. Where the file also holds the
label, test:auc, test:f1 and test:loss follow on standard error.
"""

import argparse
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor

from credit_default.container import OneLineParser
from credit_default.data import load
from credit_default.metrics import evaluate
from credit_default.model import FILE, Classifier
from credit_default.schema import COLUMNS, FEATURES, TARGET, DataError
from credit_default.tables import Table


@contextmanager
def _folder(model: Path) -> Iterator[Path]:
    """The folder of a model, or of what its archive holds."""
    if model.is_dir():
        yield model
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with tarfile.open(model) as archive:
                archive.extract(FILE, scratch, filter="data")
        except (OSError, KeyError, tarfile.TarError):
            raise DataError(model, f"is no archive that holds {FILE}") from None
        yield Path(scratch)


def read_model(model: Path) -> Classifier:
    """The classifier of a model.tar.gz, or of a folder that holds its content.

    Raises:
        DataError: it holds none.
    """
    with _folder(model) as folder:
        if not (folder / FILE).is_file():
            raise DataError(model, f"holds no {FILE}")
        return Classifier.load(folder)


def read_rows(data: Path) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Raw rows [rows, 23], and their labels [rows] where the file has them, in its order.

    Raises:
        DataError: naming file, column and row.
    """
    if data.is_dir():
        yield from load(data)
        return
    columns = COLUMNS if TARGET in Table(data).header() else FEATURES
    for chunk in Table(data, columns).chunks():
        values = torch.from_numpy(chunk).float()
        yield values[:, : len(FEATURES)], values[:, -1] if columns == COLUMNS else None


def main(argv: Sequence[str] | None = None) -> None:
    """Predict; a problem with model or data is one line, exit 2."""
    parser = OneLineParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="model.tar.gz, or its folder")
    parser.add_argument("--data", type=Path, required=True, help="CSV, .xls, or folder of .npz")
    parser.add_argument("--out", type=Path, help="CSV file to write (default: standard output)")
    args = parser.parse_args(argv)
    try:
        _predict(read_model(args.model), args.data, args.out)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _predict(model: Classifier, data: Path, out: Path | None) -> None:
    scored, targets = [], []
    with out.open("w") if out else nullcontext(sys.stdout) as written:
        print("probability,default", file=written)
        for raw, target in read_rows(data):
            logits = model.logits(raw)
            scored.append(logits)
            targets += [] if target is None else [target]
            called = (logits >= model.threshold).int().tolist()
            for probability, default in zip(logits.sigmoid().tolist(), called, strict=True):
                print(f"{probability:.6f},{default}", file=written)
    target = torch.cat(targets) if targets else torch.empty(0)
    if 0 < float(target.sum()) < len(target):
        values = evaluate(torch.cat(scored), target, model.threshold)
        print(
            " ".join(f"test:{name}={value:.8g}" for name, value in values.items()), file=sys.stderr
        )


if __name__ == "__main__":
    main()
