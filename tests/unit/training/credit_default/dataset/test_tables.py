"""Tests of the formats of a table of customers."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xlwt

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


def as_utf16_without_a_mark(frame: pd.DataFrame, path: Path) -> None:
    path.write_bytes(frame.to_csv(index=False).encode("utf-16-le"))


def as_utf16_in_the_other_order(frame: pd.DataFrame, path: Path) -> None:
    path.write_bytes(frame.to_csv(index=False).encode("utf-16-be"))


def as_utf8_with_a_mark(frame: pd.DataFrame, path: Path) -> None:
    path.write_bytes(frame.to_csv(index=False).encode("utf-8-sig"))


def as_windows_lines(frame: pd.DataFrame, path: Path) -> None:
    path.write_text(frame.to_csv(index=False, lineterminator="\r\n"), newline="")


@pytest.mark.parametrize("chunk_rows", [1, 2, 5, 100])
@pytest.mark.parametrize(
    "write",
    [
        as_gzip,
        as_utf16,
        as_utf16_without_a_mark,
        as_utf16_in_the_other_order,
        as_utf8_with_a_mark,
        as_windows_lines,
    ],
)
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


def cut_gzip(frame: pd.DataFrame, path: Path) -> None:
    as_gzip(frame, path)
    path.write_bytes(path.read_bytes()[:-40])


def changed_gzip(frame: pd.DataFrame, path: Path) -> None:
    as_gzip(frame, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes(20) + whole[60:])


def in_another_encoding(frame: pd.DataFrame, path: Path) -> None:
    path.write_bytes(frame.assign(note="é").to_csv(index=False).encode("latin-1"))


def cut_utf16(frame: pd.DataFrame, path: Path) -> None:
    as_utf16(frame, path)
    path.write_bytes(path.read_bytes()[:-1])


def cut_utf16_without_a_mark(frame: pd.DataFrame, path: Path) -> None:
    as_utf16_without_a_mark(frame, path)
    path.write_bytes(path.read_bytes()[:-1])


def an_unclosed_quote(frame: pd.DataFrame, path: Path) -> None:
    path.write_text(frame.to_csv(index=False) + '"' + "x" * 200_000)


def cut_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False)
    path.write_bytes(path.read_bytes()[:-100])


def changed_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Leave the footer, which is read first, as it was."""
    frame.to_parquet(path, index=False)
    path.write_bytes(b"PAR1" + bytes(1000) + path.read_bytes()[1004:])


def cut_excel(frame: pd.DataFrame, path: Path) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet")
    for column, name in enumerate(frame):
        sheet.write(0, column, name)
    book.save(path)
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("write", "name", "problem"),
    [
        (cut_gzip, "table.csv.gz", "is a damaged gzip file, .*; copy it again"),
        (changed_gzip, "table.csv.gz", "is a damaged gzip file, .*; copy it again"),
        (in_another_encoding, "table.csv", "is not text in UTF-8 .*; save the table as CSV in UTF"),
        (cut_utf16, "table.csv", "is not text in UTF-8 or UTF-16"),
        (cut_utf16_without_a_mark, "table.csv", "is not text in UTF-8 or UTF-16"),
        (an_unclosed_quote, "table.csv", "cannot be read .field larger than field limit"),
        (cut_parquet, "table.parquet", "is a damaged Parquet file, .*; copy it again"),
        (changed_parquet, "table.parquet", "is a damaged Parquet file, .*; copy it again"),
        (cut_excel, "table.xls", "is not a whole .xls file .*; copy it again"),
    ],
)
def test_a_damaged_table_is_one_line_that_names_file_and_fix(
    frame: pd.DataFrame,
    write: Callable[[pd.DataFrame, Path], None],
    name: str,
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    write(frame, path)
    with pytest.raises(DataError, match=problem) as raised:
        values(path)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("cell", ["1_000", "١"])
def test_a_cell_that_python_reads_as_a_number_and_numpy_does_not_is_named(
    frame: pd.DataFrame, cell: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    frame.astype({"AGE": object}).assign(AGE=cell).to_csv(path, index=False)
    with pytest.raises(DataError, match=f"AGE, row 2: '{cell}' is not a number"):
        values(path)


def test_what_parquet_cannot_give_is_one_line(frame: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_text("text")
    with pytest.raises(DataError, match="damaged Parquet file"):
        values(path)
    frame.assign(AGE="old").to_parquet(path, index=False)
    with pytest.raises(DataError, match=r"AGE.*not a number"):
        values(path)
    frame.assign(AGE=[None if n == 4 else 3.0 for n in range(ROWS)]).to_parquet(path, index=False)
    with pytest.raises(DataError, match="is empty"):
        values(path)
