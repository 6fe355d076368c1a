"""Tests of the formats of a table of customers."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from credit_default.dataset.schema import COLUMNS, DataError
from credit_default.dataset.tables import CreditTable

ROWS = 12


@pytest.fixture
def frame() -> pd.DataFrame:
    draws = np.random.default_rng(0)
    found = pd.DataFrame(draws.integers(0, 2, (ROWS, len(COLUMNS))), columns=list(COLUMNS))
    return found.assign(
        LIMIT_BAL=draws.integers(1, 10**6, ROWS), note='a "quoted"\nnote, of two lines'
    )


def values(path: Path, **options: int) -> np.ndarray:
    return np.concatenate(list(CreditTable(path, **options).chunks()))


def as_gzip(frame: pd.DataFrame, path: Path) -> None:
    path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))


def as_utf16(frame: pd.DataFrame, path: Path) -> None:
    path.write_bytes(frame.to_csv(index=False).encode("utf-16"))


def as_utf8_with_a_mark(frame: pd.DataFrame, path: Path) -> None:
    path.write_bytes(frame.to_csv(index=False).encode("utf-8-sig"))


def as_windows_lines(frame: pd.DataFrame, path: Path) -> None:
    path.write_text(frame.to_csv(index=False, lineterminator="\r\n"), newline="")


@pytest.mark.parametrize("chunk_rows", [1, 2, 5, 100])
@pytest.mark.parametrize("write", [as_gzip, as_utf16, as_utf8_with_a_mark, as_windows_lines])
def test_every_encoding_gives_the_same_rows_whatever_the_chunks(
    frame: pd.DataFrame,
    write: Callable[[pd.DataFrame, Path], None],
    chunk_rows: int,
    tmp_path: Path,
) -> None:
    path = tmp_path / "table.csv"
    write(frame, path)
    np.testing.assert_array_equal(values(path, chunk_rows=chunk_rows), frame[list(COLUMNS)])
    assert "NOTE" in [name.upper() for name in CreditTable(path).header()]


@pytest.mark.parametrize("chunk_rows", [1, 5, 100])
def test_parquet_gives_the_same_rows(frame: pd.DataFrame, chunk_rows: int, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    frame.to_parquet(path, index=False)
    np.testing.assert_array_equal(values(path, chunk_rows=chunk_rows), frame[list(COLUMNS)])


def test_a_cell_after_a_line_break_is_named_by_the_line_where_its_row_begins(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    frame.astype({"AGE": object}).assign(AGE=["x" if n == 2 else 30 for n in range(ROWS)]).to_csv(
        path, index=False
    )
    with pytest.raises(DataError, match=r"row 6.*'x' is not a number|'x' is not a number.*row 6"):
        values(path)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_value_beyond_float32_is_named(frame: pd.DataFrame, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{ending}"
    large = frame.assign(LIMIT_BAL=[1e39 if n == 3 else 1.0 for n in range(ROWS)])
    large.to_csv(path, index=False) if ending == "csv" else large.to_parquet(path, index=False)
    with pytest.raises(DataError, match=r"1e\+39 is beyond the numbers that float32 can hold"):
        values(path)


def test_what_parquet_cannot_give_is_one_line(frame: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_text("text")
    with pytest.raises(DataError, match="cannot be read"):
        values(path)
    frame.assign(AGE="old").to_parquet(path, index=False)
    with pytest.raises(DataError, match=r"AGE.*not a number"):
        values(path)
    frame.assign(AGE=[None if n == 4 else 3.0 for n in range(ROWS)]).to_parquet(path, index=False)
    with pytest.raises(DataError, match="is empty"):
        values(path)
