"""Split the credit-default set into the three channels that the training scripts read.

Locally:       python training/prepare_data.py --data UCI_Credit_Card.csv --out data/credit-default
On SageMaker:  unchanged, in a processing job whose source is this folder, with
               --data /opt/ml/processing/input/UCI_Credit_Card.csv --out /opt/ml/processing/output
Writes:
    OUT/{train,validation,test}/*.npz   one array per column; at most --shard-rows rows per file
    OUT/manifest.json                   rows, positives and sha256 of each file, seed, source
Prints for each part:  <name> <number of rows> rows, <share>% of them defaults

Without --data (or $HPOQ_DATA), downloads the set from UCI (id 350) and caches it. Offline, writes
synthetic rows with the same columns and prints a note.
The split is stratified and depends on the rows and the seed alone. The script reads the input
twice and keeps about one shard in memory, however large the input is.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from credit_default.dataset.schema import COLUMNS, FEATURES, TARGET, DataError
from credit_default.dataset.sources import Source, find_source
from credit_default.dataset.tables import CreditTable
from credit_default.hyperparameters import number

PARTS = ("train", "validation", "test")
FRACTIONS = (0.64, 0.16, 0.20)
SHARD_ROWS = 500_000  # 48 MB of raw columns, 174 MB of the features that training derives
_SPOOL_BYTES = 8 << 20  # of a shard, before its rows go to a temporary file

Labels = NDArray[np.bool_]
Numbers = NDArray[np.int64]


class _Assignment(NamedTuple):
    part_of_row: NDArray[np.int8]  # index into PARTS
    copies: Numbers  # number of times each row is written


@dataclass(frozen=True, kw_only=True)
class Split:
    """The rules that assign rows to parts and files.

    Attributes:
        fractions: shares of the rows for train, validation and test, the same for each class.
        seed: random seed of the shuffle.
        upsample: repeat random rows of the training part's smaller class until both classes have
            the same number of rows. The other parts do not change.
        shard_rows: maximum number of rows per file.
    """

    fractions: tuple[float, float, float] = FRACTIONS
    seed: int = 42
    upsample: bool = False
    shard_rows: int = SHARD_ROWS


def prepare(source: Source, out: Path, split: Split | None = None) -> dict[str, Any]:
    """Write the three parts and their manifest under `out`; return the manifest.

    Raises:
        DataError: a column is missing, a cell is not a finite number, or a class has too few rows.
    """
    split = split or Split()
    table = CreditTable(source.path)
    rng = np.random.default_rng(split.seed)
    labels = _labels(table)
    part_of_row = _assign_parts(table.path, labels, split.fractions, rng)
    copies = np.ones(len(labels), np.int64)
    if split.upsample:
        copies += _extra_copies(labels, part_of_row == 0, rng)
    parts = _write_parts(table, _Assignment(part_of_row, copies), split, out, rng)
    manifest = {
        "version": 1,
        "source": source.path.name,
        "kind": source.kind,
        "source_sha256": _sha256(source.path),
        "seed": split.seed,
        "fractions": list(split.fractions),
        "upsampled": split.upsample,
        "features": list(FEATURES),
        "target": TARGET,
        "parts": parts,
    }
    _replace(out / "manifest.json", json.dumps(manifest, indent=2).encode() + b"\n")
    return manifest


def _labels(table: CreditTable) -> Labels:
    """Return which rows are positive; check every cell."""
    chunks = [chunk[:, COLUMNS.index(TARGET)] == 1 for chunk in table.chunks()]
    labels = np.concatenate([np.empty(0, bool), *chunks])
    for name, count in (("1", int(labels.sum())), ("0", int((~labels).sum()))):
        if count < len(PARTS):
            problem = f"{count} of {len(labels)} rows have class {name}, too few to split"
            raise DataError(table.path, problem, column=TARGET)
    return labels


def _assign_parts(
    path: Path, labels: Labels, fractions: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int8]:
    """Return the part of each row; each class is split separately."""
    part_of_row = np.empty(len(labels), np.int8)
    for label in (False, True):
        rows = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.rint(np.cumsum(fractions) * len(rows)).astype(int)
        sizes = np.diff(cuts, prepend=0)
        if not sizes.all():
            empty = PARTS[int(np.argmin(sizes))]
            problem = f"{len(rows)} rows of class {label:d} leave none for {empty}"
            raise DataError(path, problem, column=TARGET)
        part_of_row[rows] = np.repeat(np.arange(len(PARTS)), sizes)
    return part_of_row


def _extra_copies(labels: Labels, in_train: Labels, rng: np.random.Generator) -> Numbers:
    """Return how often to repeat each row so that both classes have the same number of rows."""
    copies = np.zeros(len(labels), np.int64)
    by_label = [np.flatnonzero(in_train & (labels == label)) for label in (False, True)]
    few, many = sorted(by_label, key=len)
    np.add.at(copies, rng.choice(few, size=len(many) - len(few)), 1)
    return copies


def _write_parts(
    table: CreditTable, assignment: _Assignment, split: Split, out: Path, rng: np.random.Generator
) -> dict[str, Any]:
    """Write the rows to one spool file per shard, then write each shard shuffled."""
    part_of_row, copies = assignment
    part_rows = np.bincount(part_of_row, weights=copies, minlength=len(PARTS)).astype(int)
    shard_of_copy = [_shards(rows, split.shard_rows, rng) for rows in part_rows]
    written_rows = [0] * len(PARTS)
    with ExitStack() as stack:
        spools = [
            [stack.enter_context(_spool()) for _ in range(int(shards.max()) + 1)]
            for shards in shard_of_copy
        ]
        start = 0
        for chunk in table.chunks():
            rows = slice(start, start := start + len(chunk))
            for part in range(len(PARTS)):
                written = np.repeat(chunk, np.where(part_of_row[rows] == part, copies[rows], 0), 0)
                first = written_rows[part]
                shards = shard_of_copy[part][first : first + len(written)]
                written_rows[part] += len(written)
                for shard in np.unique(shards):
                    spools[part][shard].write(written[shards == shard].astype("<f4").tobytes())
        return {
            name: _write_part(out / name, name, part_spools, rng)
            for name, part_spools in zip(PARTS, spools, strict=True)
        }


def _shards(rows: int, shard_rows: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return a random shard for each row; shard sizes differ by at most one row."""
    return rng.permutation(np.arange(rows, dtype=np.int32) % -(-rows // shard_rows))


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)


def _write_part(
    folder: Path, part: str, spools: Sequence[IO[bytes]], rng: np.random.Generator
) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)  # remove the shards of an earlier run
    folder.mkdir(parents=True)
    files: list[dict[str, Any]] = []
    for index, spool in enumerate(spools):
        spool.seek(0)
        values = np.frombuffer(spool.read(), "<f4").reshape(-1, len(COLUMNS))
        shuffled = dict(zip(COLUMNS, values[rng.permutation(len(values))].T, strict=True))
        suffix = f"-{index:05d}-of-{len(spools):05d}" if len(spools) > 1 else ""
        path = folder / f"{part}{suffix}.npz"
        _write_columns(path, shuffled)
        positives = int(shuffled[TARGET].sum())
        files.append(
            {
                "name": path.name,
                "rows": len(values),
                "positives": positives,
                "sha256": _sha256(path),
            }
        )
    totals = {key: sum(file[key] for file in files) for key in ("rows", "positives")}
    return {**totals, "files": files}


def _write_columns(path: Path, columns: Mapping[str, NDArray[np.float32]]) -> None:
    """Write what numpy.savez writes, but with the same bytes on every run."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in columns.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(values))


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(manifest: Mapping[str, Any]) -> Iterator[str]:
    for name, part in manifest["parts"].items():
        share = part["positives"] / part["rows"]
        yield f"{name:10} {part['rows']:>9,} rows, {share:.1%} of them defaults"


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and write the parts; print a data problem as one line, exit 2."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    given = os.environ.get("HPOQ_DATA")
    parser.add_argument("--data", type=Path, default=given, help="CSV file or UCI's .xls file")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--seed",
        type=number(int, 0, 2**31 - 1),
        default=Split.seed,
        help="random seed of the split (default: %(default)s)",
    )
    parser.add_argument(
        "--upsample", action="store_true", help="balance the classes of the training part"
    )
    parser.add_argument(
        "--shard-rows",
        type=number(int, 1, 10**9),
        default=SHARD_ROWS,
        help="maximum number of rows per file (default: %(default)s)",
    )
    parser.add_argument("--synthetic", action="store_true", help="write synthetic rows")
    args = parser.parse_args(argv)
    split = Split(seed=args.seed, upsample=args.upsample, shard_rows=args.shard_rows)
    try:
        with find_source(args.data, synthetic=args.synthetic) as source:
            print(f"source     {source.kind}: {source.path.name}")
            for line in _described(prepare(source, args.out, split)):
                print(line)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
