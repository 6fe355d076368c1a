"""The data of a channel: CSV, or protobuf records wrapped in RecordIO.

https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ClientFault

Array = np.ndarray[Any, np.dtype[np.float64]]
RECORDS, CSV = "application/x-recordio-protobuf", "text/csv"
MAGIC = 0xCED7230A
# Numbers of fields in the schema of a record.
FEATURES, LABEL = 1, 2
MAP_VALUE = 2
TENSORS = {2: "<f4", 3: "<f8", 7: "<i4"}  # float32, float64, int32
VALUES, KEYS = 1, 2
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # kinds of fields


@dataclass(frozen=True)
class DataRows:
    """The rows of a channel."""

    features: Array  # one row for each record
    labels: Array


def rows_of(folder: Path, content_type: str, *, feature_dim: int | None, labels: bool) -> DataRows:
    """Return the rows of all files of a channel.

    Args:
        folder: of the channel.
        content_type: of the channel; empty for protobuf records.
        feature_dim: the number of features; None if any number is right.
        labels: whether the algorithm needs a label of each row.

    Raises:
        ClientFault: if a file does not have the content type or another number of features.
    """
    kind, _, options = (content_type or RECORDS).replace(" ", "").partition(";")
    files = [each for each in sorted(folder.rglob("*")) if each.is_file()]
    files = [each for each in files if not each.name.startswith((".", "_"))]
    if not files:
        raise ClientFault(f"No data in the channel {folder.name}")
    try:
        if kind.lower() == CSV:
            size = int(options.removeprefix("label_size=")) if options else 1
            parts = [_of_csv(each, size) for each in files]
        elif kind.lower() == RECORDS:
            parts = [_of_records(each, feature_dim) for each in files]
        else:
            raise ClientFault(f"Content type {kind} of {folder.name} is not {RECORDS} or {CSV}")
        found = DataRows(
            np.vstack([p.features for p in parts]), np.concatenate([p.labels for p in parts])
        )
    except (ValueError, struct.error, IndexError):
        raise ClientFault(
            f"Unable to read data channel '{folder.name}'. Requested content-type is '{kind}'. "
            "Please verify the data matches the requested content-type"
        ) from None
    _check(found, folder.name, feature_dim, labels=labels)
    return found


def _check(rows: DataRows, channel: str, feature_dim: int | None, *, labels: bool) -> None:
    width = rows.features.shape[1]
    if feature_dim is not None and width != feature_dim:
        raise ClientFault(f"The channel {channel} has {width} features, not {feature_dim}")
    if labels and len(rows.labels) != len(rows.features):
        raise ClientFault(f"Each row of the channel {channel} needs one label")
    if not (np.isfinite(rows.features).all() and np.isfinite(rows.labels).all()):
        raise ClientFault(f"The channel {channel} has values that are missing or not finite")


def _of_csv(file: Path, label_size: int) -> DataRows:
    table = np.loadtxt(file, delimiter=",", ndmin=2, dtype=np.float64)
    labels = table[:, 0] if label_size else np.empty(0)
    return DataRows(table[:, label_size:], labels)


def _of_records(file: Path, feature_dim: int | None) -> DataRows:
    features: list[Array] = []
    labels: list[Array] = []
    for record in _records(memoryview(file.read_bytes())):
        for number, _, entry in _fields(record):
            if number in (FEATURES, LABEL):
                values = _tensor(entry, feature_dim if number == FEATURES else None)
                (features if number == FEATURES else labels).append(values)
    if not features:
        raise ValueError
    return DataRows(np.vstack(features), np.concatenate(labels) if labels else np.empty(0))


def _records(content: memoryview) -> Iterator[memoryview]:
    position = 0
    while position < len(content):
        magic, length = struct.unpack_from("<II", content, position)
        if magic != MAGIC or position + 8 + length > len(content):
            raise ValueError
        yield content[position + 8 : position + 8 + length]
        position += 8 + (length + 3) // 4 * 4


def _tensor(entry: Any, width: int | None) -> Array:
    """Return the values of an entry of a map, with zeros where a sparse tensor has none."""
    (value,) = (each for number, _, each in _fields(entry) if number == MAP_VALUE)
    ((kind, _, tensor),) = _fields(value)
    values, keys = np.empty(0), np.empty(0, dtype=np.int64)
    for number, wire, content in _fields(tensor):
        if number == VALUES and wire == LENGTH:
            values = np.frombuffer(content, dtype=TENSORS[kind]).astype(np.float64)
        elif number == KEYS and wire == LENGTH:
            keys = np.array(list(_integers(content)), dtype=np.int64)
    if not len(keys):
        return values
    if width is None:
        raise ValueError  # a sparse tensor needs feature_dim
    dense = np.zeros(width)
    dense[keys] = values
    return dense


def _fields(content: Any) -> Iterator[tuple[int, int, Any]]:
    """Yield number, kind and content of each field of a protobuf message."""
    position = 0
    while position < len(content):
        key, position = _integer(content, position)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _integer(content, position)
            yield number, wire, value
            continue
        if wire == LENGTH:
            size, position = _integer(content, position)
        else:
            size = {FIXED64: 8, FIXED32: 4}.get(wire, 0)
        if (not size and wire != LENGTH) or position + size > len(content):
            raise ValueError
        yield number, wire, content[position : position + size]
        position += size


def _integers(content: Any) -> Iterator[int]:
    position = 0
    while position < len(content):
        value, position = _integer(content, position)
        yield value


def _integer(content: Any, position: int) -> tuple[int, int]:
    """Return the integer of variable length at a position, and the position after it."""
    value = shift = 0
    while True:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
