"""Read one channel (a folder of .npz files written by prepare_data.py) as tensors.

A part of up to MEMORY_ROWS rows is kept in memory as one pair of tensors. A larger part is
streamed: while the loop trains on one shard, a thread reads the next.
"""

import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from credit_default.dataset.schema import COLUMNS, FEATURES, TARGET, DataError
from credit_default.identity import checksums, digest_of

# 400 MB of features, four bytes each; larger parts are streamed. Of the 23 raw columns, the network
# gets 87 features (credit_default.dataset.features.WIDTH), so these decide.
MEMORY_ROWS = 1_149_000

# What numpy raises for files that are cut off or changed.
_NUMPY_ERRORS = (
    EOFError, KeyError, NotImplementedError, OSError, TypeError, ValueError, tokenize.TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class Rows(NamedTuple):
    """The raw columns of some customers, in the order of FEATURES, and their labels."""

    raw: Tensor  # [rows, 23] float32
    target: Tensor  # [rows] float32, 0 or 1

    def to(self, device: torch.device) -> "Rows":
        """Return the rows on the device, copied to a GPU asynchronously through pinned memory."""
        if device.type != "cuda":
            return self
        return Rows(*(part.pin_memory().to(device, non_blocking=True) for part in self))


@dataclass(frozen=True)
class Part:
    """A train, validation or test part: shards in memory, or the files to read them from."""

    shards: Sequence[Rows | Path]
    sizes: Sequence[int]  # rows of each shard

    @classmethod
    def of(cls, rows: Rows) -> "Part":
        """Return a part of one shard in memory."""
        return cls([rows], [len(rows.target)])

    @property
    def rows(self) -> int:
        """The number of rows in all shards."""
        return sum(self.sizes)

    @cached_property
    def digest(self) -> str:
        """The digest of the rows, in their order."""
        return digest_of(each for shard in self.shards for each in _content(shard))

    def subset(self, order: Sequence[int]) -> "Part":
        """Return a part of the shards at the given positions, in the given order."""
        return replace(
            self, shards=[self.shards[i] for i in order], sizes=[self.sizes[i] for i in order]
        )

    def __iter__(self) -> Iterator[Rows]:
        with ThreadPoolExecutor(1) as reader:
            pending = [reader.submit(_in_memory, shard) for shard in self.shards[:1]]
            for following in [*self.shards[1:], None]:
                rows = pending.pop()
                if following is not None:
                    pending.append(reader.submit(_in_memory, following))
                yield rows.result()


def _content(shard: Rows | Path) -> Iterable[bytes]:
    if isinstance(shard, Path):
        return [checksums(shard)]
    return (tensor.numpy().tobytes() for tensor in shard)


def load(folder: Path, memory_rows: int = MEMORY_ROWS) -> Part:
    """Read the part in a channel's folder.

    Raises:
        DataError: there is no file, a column is missing, columns differ in length, a cell is not
            finite, or all rows have the same label.
    """
    files = sorted(folder.glob("*.npz")) if folder.is_dir() else []
    if not files:
        raise DataError(folder, "contains no .npz file; training/prepare_data.py writes them")
    sizes = [_length(file) for file in files]
    if sum(sizes) > memory_rows:
        return Part(files, sizes)
    shards = [read(file) for file in files]
    rows = Rows(*(torch.cat(tensors) for tensors in zip(*shards, strict=True)))
    if not 0 < int(rows.target.sum()) < len(rows.target):
        problem = f"all {len(rows.target)} rows have the same class"
        raise DataError(folder, problem, column=TARGET)
    return Part.of(rows)


def read(file: Path) -> Rows:
    """Read and check one file of a part.

    Raises:
        DataError: a column is missing, columns differ in length, or a cell is not finite.
    """
    with _columns(file) as columns:
        missing = [column for column in COLUMNS if column not in columns]
        if missing:
            raise DataError(file, "is missing", column=missing[0])
        values = {column: columns[column] for column in COLUMNS}
    length = len(values[TARGET])
    for column, array in values.items():
        if array.shape != (length,) or array.dtype.kind not in "fiu":
            problem = f"is {array.dtype} {array.shape}, not {length} numbers"
            raise DataError(file, problem, column=column)
        bad = np.flatnonzero(~np.isfinite(array))
        if len(bad):
            raise DataError(file, "is not a finite number", column=column, row=int(bad[0]))
    raw = np.stack([values[column] for column in FEATURES], axis=1).astype(np.float32)
    return Rows(torch.from_numpy(raw), torch.from_numpy(values[TARGET].astype(np.float32)))


def _in_memory(shard: Rows | Path) -> Rows:
    return read(shard) if isinstance(shard, Path) else shard


def _length(file: Path) -> int:
    with _columns(file) as columns:
        if TARGET not in columns:
            raise DataError(file, "is missing", column=TARGET)
        return len(columns[TARGET])


@contextmanager
def _columns(file: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Open a file of a part; raise a DataError for what reading a damaged one in the block raises.

    The file is an archive, whose columns are read and checked when the block asks for them.
    """
    try:
        opened = np.load(file, allow_pickle=False)
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise DataError(file, "is not a .npz file; training/prepare_data.py writes them")
        with opened:
            yield opened
    except DataError:
        raise
    except _NUMPY_ERRORS as error:
        reason = " ".join(str(error).split())
        raise DataError(file, f"is damaged ({reason}); run prepare_data.py again") from None
