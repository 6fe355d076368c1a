"""The data of channels: CSV and protobuf records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpoq.local.sagemaker.training.programs.amazon_algorithms.errors import ClientFault
from hpoq.local.sagemaker.training.programs.amazon_algorithms.record_io import (
    CSV,
    RECORDS,
    DataRows,
    rows_of,
)
from tests.support.protobuf_records import encoded

FEATURES = np.array([[1.5, 0.0, -2.0], [0.0, 3.25, 0.0], [7.0, 0.5, 1.0]], dtype=np.float32)
LABELS = np.array([1.0, 0.0, 1.0], dtype=np.float32)


def read(folder: Path, content: bytes | str, kind: str, *, width: int | None = 3) -> DataRows:
    raw = content.encode() if isinstance(content, str) else content
    (folder / "data").write_bytes(raw)
    return rows_of(folder, kind, feature_dim=width, labels=False)


def test_records(tmp_path: Path) -> None:
    found = read(tmp_path, encoded(FEATURES, LABELS), RECORDS)
    np.testing.assert_array_equal(found.features, FEATURES)
    np.testing.assert_array_equal(found.labels, LABELS)


def test_a_channel_without_content_type_has_records(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(tmp_path, encoded(FEATURES), "").features, FEATURES)


def test_sparse_records(tmp_path: Path) -> None:
    found = read(tmp_path, encoded(FEATURES, LABELS, sparse=True), RECORDS)
    np.testing.assert_array_equal(found.features, FEATURES)


# "Common data formats for training" in the developer guide: label_size=0 for unsupervised ones.
@pytest.mark.parametrize(
    ("options", "width"), [("", 2), (";label_size=1", 2), ("; label_size=0", 3)]
)
def test_the_label_of_csv_is_the_first_column(tmp_path: Path, options: str, width: int) -> None:
    found = read(tmp_path, "1,2,3\n0,5,6\n", CSV + options, width=width)
    assert found.features.shape == (2, width)
    assert found.labels.tolist() == ([] if width == 3 else [1, 0])


def test_all_files_of_a_channel_are_read(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("1,2,3\n")
    (tmp_path / "_SUCCESS").write_text("")
    assert len(read(tmp_path, "1,2,3\n0,5,6\n", CSV, width=2).features) == 3


@pytest.mark.parametrize(
    ("content", "kind", "width", "said"),
    [
        (b"", RECORDS, 3, "Unable to read data channel"),
        (encoded(FEATURES, LABELS)[:-9], RECORDS, 3, "Unable to read data channel"),
        (encoded(FEATURES, LABELS), CSV, 3, "Requested content-type is 'text/csv'"),
        ("1,2,3\n", RECORDS, 2, "Requested content-type is 'application/x-recordio-protobuf'"),
        ("label,a,b\n1,2,3\n", CSV, 2, "Unable to read data channel"),
        ("1,2,3\n", "text/libsvm", 2, "Content type text/libsvm"),
        ("1,2,3\n", CSV, 5, "has 2 features, not 5"),
        ("1,2,nan\n", CSV, 2, "missing or not finite"),
    ],
)
def test_data_that_cannot_be_used_is_the_customers_error(
    tmp_path: Path, content: bytes | str, kind: str, width: int, said: str
) -> None:
    with pytest.raises(ClientFault, match=said.replace("/", ".")):
        read(tmp_path, content, kind, width=width)


def test_a_channel_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClientFault, match="No data in the channel"):
        rows_of(tmp_path, CSV, feature_dim=None, labels=False)
