"""Predict defaults from raw rows with a trained model.

Locally:       python training/predict.py --model model.tar.gz --data customers.csv
On SageMaker:  unchanged, with the training job's model.tar.gz
Reads the 23 raw columns from a CSV file, from UCI's .xls, or from a folder of .npz files. Writes
`probability,default` (0..1, 0 or 1) per row to standard output or to --out. If the file also
contains the label, prints test:auc=<0..1> test:f1=<0..1> test:loss=<nats> to standard error.
"""

import argparse
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from credit_default.checkpoint import Damaged
from credit_default.container import OneLineParser
from credit_default.dataset.parts import load
from credit_default.dataset.schema import COLUMNS, FEATURES, TARGET, DataError
from credit_default.dataset.tables import CreditTable
from credit_default.metrics import evaluate
from credit_default.model import FILE, Classifier


@contextmanager
def _folder(model: Path) -> Iterator[Path]:
    """Yield the folder of a model; extract an archive into a temporary folder."""
    if model.is_dir():
        yield model
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with tarfile.open(model) as archive:
                # Plain `tar -C FOLDER .` writes names that begin with "./".
                names = {str(PurePosixPath(name)): name for name in archive.getnames()}
                archive.extract(names[FILE], scratch, filter="data")
        except (OSError, EOFError, KeyError, zlib.error, tarfile.TarError):
            raise DataError(model, f"is not an archive that contains {FILE}") from None
        yield Path(scratch)


def read_model(model: Path) -> Classifier:
    """Return the classifier in a model.tar.gz, or in a folder that it was extracted to.

    Raises:
        DataError: the archive or folder contains no model, or a damaged one.
    """
    with _folder(model) as folder:
        if not (folder / FILE).is_file():
            raise DataError(model, f"contains no {FILE}")
        try:
            return Classifier.load(folder)
        except Damaged:
            raise DataError(model, f"contains a {FILE} that is damaged or is no model") from None


def read_rows(data: Path) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield raw columns [rows, 23] and labels [rows], or None without labels, in file order.

    Raises:
        DataError: a file, column or row is invalid; the message names it.
    """
    if data.is_dir():
        yield from load(data)
        return
    columns = COLUMNS if TARGET in CreditTable(data).header() else FEATURES
    for chunk in CreditTable(data, columns).chunks():
        values = torch.from_numpy(chunk).float()
        yield values[:, : len(FEATURES)], values[:, -1] if columns == COLUMNS else None


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and predict; print a problem as one line and exit with status 2."""
    parser = OneLineParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, required=True, help="model.tar.gz, or the folder of its content"
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="CSV file, .xls file, or folder of .npz files"
    )
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
            defaults = (logits >= model.threshold).int().tolist()
            for probability, default in zip(logits.sigmoid().tolist(), defaults, strict=True):
                print(f"{probability:.6f},{default}", file=written)
    target = torch.cat(targets) if targets else torch.empty(0)
    if 0 < float(target.sum()) < len(target):
        values = evaluate(torch.cat(scored), target, model.threshold)
        print(
            " ".join(f"test:{name}={value:.8g}" for name, value in values.items()), file=sys.stderr
        )


if __name__ == "__main__":
    main()
