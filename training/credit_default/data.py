"""Read one channel (a folder of .npz files from prepare_data.py) as tensors.

A part that fits is held in memory as one pair of tensors. A larger one is streamed shard by
shard, the next being read while the present one is trained on.
"""

import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from credit_default.schema import COLUMNS, FEATURES, TARGET, DataError

MEMORY_ROWS = 4_000_000  # 384 MB of raw columns; more than this is streamed


class Rows(NamedTuple):
    """Customers, with as many columns as FEATURES, and whether each defaulted."""

    raw: Tensor  # [rows, 23] float32
    target: Tensor  # [rows] float32, 0 or 1

    def to(self, device: torch.device) -> "Rows":
        """On the device; a copy to a GPU goes through pinned memory and does not wait."""
        if device.type != "cuda":
            return self
        return Rows(*(part.pin_memory().to(device, non_blocking=True) for part in self))


@dataclass(frozen=True)
class Part:
    """A train, validation or test part: its shards, in memory or still in their files."""

    shards: Sequence[Rows | Path]
    sizes: Sequence[int]  # rows of each shard

    @classmethod
    def of(cls, rows: Rows) -> "Part":
        """A part of one shard in memory."""
        return cls([rows], [len(rows.target)])

    @property
    def rows(self) -> int:
        """Of all shards."""
        return sum(self.sizes)

    def subset(self, order: Sequence[int]) -> "Part":
        """The same part with its shards in another order."""
        return replace(
            self, shards=[self.shards[i] for i in order], sizes=[self.sizes[i] for i in order]
        )

    def __iter__(self) -> Iterator[Rows]:
        with ThreadPoolExecutor(1) as reader:
            ahead = [reader.submit(_in_memory, shard) for shard in self.shards[:1]]
            for following in [*self.shards[1:], None]:
                rows = ahead.pop()
                if following is not None:
                    ahead.append(reader.submit(_in_memory, following))
                yield rows.result()


def load(folder: Path, memory_rows: int = MEMORY_ROWS) -> Part:
    """The part that a channel's folder holds.

    Raises:
        DataError: no file, a missing column, columns of unequal length, a cell that is not
            finite, or a part without any positive or any negative.
    """
    files = sorted(folder.glob("*.npz")) if folder.is_dir() else []
    if not files:
        raise DataError(folder, "holds no .npz file; training/prepare_data.py writes them")
    sizes = [_length(file) for file in files]
    if sum(sizes) > memory_rows:
        return Part(files, sizes)
    shards = [read(file) for file in files]
    rows = Rows(*(torch.cat(tensors) for tensors in zip(*shards, strict=True)))
    if not 0 < int(rows.target.sum()) < len(rows.target):
        problem = f"all {len(rows.target)} rows are of one class"
        raise DataError(folder, problem, column=TARGET)
    return Part.of(rows)


def read(file: Path) -> Rows:
    """One file of a part, checked."""
    with _opened(file) as columns:
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
    with _opened(file) as columns:
        if TARGET not in columns:
            raise DataError(file, "is missing", column=TARGET)
        return len(columns[TARGET])


def _opened(file: Path) -> "np.lib.npyio.NpzFile":
    try:
        opened = np.load(file, allow_pickle=False)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(file, f"cannot be read ({error})") from None
    if not isinstance(opened, np.lib.npyio.NpzFile):
        raise DataError(file, "is not a .npz file")
    return opened
