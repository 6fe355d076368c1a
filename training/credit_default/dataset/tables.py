"""Read a credit-default table from CSV, Parquet or Excel in chunks of checked numbers."""

import codecs
import csv
import gzip
import io
import struct
import textwrap
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from credit_default.dataset.schema import COLUMNS, FEATURES, TARGET, DataError, canonical, positions

CHUNK_ROWS = 200_000  # 38 MB of float64

# What xlrd raises for files that are cut off or changed, beside its own errors.
_XLRD_ERRORS = (
    AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError,
    struct.error,
)  # fmt: skip

Chunk = NDArray[np.float64]  # [rows, columns], in the order of the requested columns


@dataclass(frozen=True)
class CreditTable:
    """A file with a header line: CSV (also compressed by gzip, or in UTF-16), Parquet, or Excel."""

    path: Path
    columns: Sequence[str] = COLUMNS
    chunk_rows: int = CHUNK_ROWS

    def header(self) -> list[str]:
        """Return the names of all columns in the file, in this package's spelling.

        Raises:
            DataError: the file does not exist or cannot be read.
        """
        with _reading(self.path):
            if self._is_parquet:
                with _parquet_file(self.path) as file:
                    return [canonical(name) for name in file.schema_arrow.names]
            excel = self._is_excel
            rows = _excel_header(_excel_sheet(self.path)) if excel else _csv_header(self.path)
        return [canonical(name) for name in rows[_header_rows(rows) - 1]] if rows else []

    @property
    def _is_excel(self) -> bool:
        return self.path.suffix.lower() == ".xls"

    @property
    def _is_parquet(self) -> bool:
        return self.path.suffix.lower() == ".parquet"

    def chunks(self) -> Iterator[Chunk]:
        """Yield every row once, in the file's order.

        Raises:
            DataError: the file does not exist or cannot be read, a column is missing, a cell is not
                a number that float32 can hold, or a label is neither 0 nor 1.
        """
        read = _excel_chunks if self._is_excel else _csv_chunks
        read = _parquet_chunks if self._is_parquet else read
        with _reading(self.path):
            for chunk, row_numbers in read(self):
                _check_values(self, chunk, row_numbers)
                yield chunk


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise a DataError for what reading a missing or damaged file raises."""
    if not path.is_file():
        raise DataError(path, "does not exist")
    try:
        yield
    except UnicodeError as error:
        problem = f"is not text in UTF-8 or UTF-16 ({error}); save the table as CSV in UTF-8"
        raise DataError(path, problem) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"is a damaged gzip file, such as one cut off ({error}); copy it again"
        raise DataError(path, problem) from None
    except (csv.Error, OSError) as error:
        raise DataError(path, f"cannot be read ({error})") from None


def _csv_header(path: Path) -> list[list[str]]:
    with _opened(path) as file:
        return list(islice((row for row in csv.reader(file) if row), 2))


def _opened(path: Path) -> IO[str]:
    """Open a text file, compressed by gzip or not, in the encoding that its first bytes show."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    opener = gzip.open if compressed else open
    with opener(path, "rb") as file:
        start = file.read(2)
    return opener(path, "rt", newline="", encoding=_encoding(start))


def _encoding(start: bytes) -> str:
    """Return the encoding of a text, given its first two bytes; names of columns are ASCII."""
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if b"\0" in start:
        return "utf-16-be" if start[0] == 0 else "utf-16-le"
    return "utf-8-sig"


def _rows(file: IO[str]) -> Iterator[tuple[int, str]]:
    """Yield each row with the number of its first line; a quoted cell may contain line breaks."""
    begun, number = "", 0
    for n, line in enumerate(file, start=1):
        if not begun:
            number = n
        begun += line
        if begun.count('"') % 2:
            continue
        if begun.strip():
            yield number, begun.rstrip("\r\n").replace("\r", " ").replace("\n", " ")
        begun = ""
    if begun.strip():
        yield number, begun


@contextmanager
def _parquet_file(path: Path) -> Iterator[Any]:
    """Open a Parquet file; raise a DataError for what reading a damaged one in the block raises."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        problem = "reading .parquet requires pyarrow; install it or save the table as CSV"
        raise DataError(path, problem) from None
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (ArrowException, OSError) as error:
        problem = f"is a damaged Parquet file, such as one cut off ({_line(error)}); copy it again"
        raise DataError(path, problem) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _parquet_chunks(table: CreditTable) -> Iterator[tuple[Chunk, Sequence[int]]]:
    with _parquet_file(table.path) as file:
        names = file.schema_arrow.names
        wanted = [names[position] for position in positions(table.path, names, table.columns)]
        before = 0
        for batch in file.iter_batches(table.chunk_rows, columns=wanted):
            columns = [
                _numbers(table, column, batch.column(name), before)
                for column, name in zip(table.columns, wanted, strict=True)
            ]
            yield np.stack(columns, axis=1), range(before + 1, before + 1 + batch.num_rows)
            before += batch.num_rows


def _numbers(table: CreditTable, column: str, cells: Any, before: int) -> NDArray[np.float64]:
    """Return a column of a Parquet file as numbers; empty cells are not among them."""
    for index in range(len(cells)) if cells.null_count else ():
        if not cells[index].is_valid:
            raise DataError(table.path, "is empty", column=column, row=before + index + 1)
    try:
        return np.asarray(cells.to_numpy(zero_copy_only=False), dtype=np.float64)
    except (TypeError, ValueError):
        problem = f"is of type {cells.type}, not a number"
        raise DataError(table.path, problem, column=column) from None


def _excel_header(sheet: Any) -> list[list[str]]:
    return [[str(cell) for cell in sheet.row_values(n)] for n in range(min(2, sheet.nrows))]


def _excel_sheet(path: Path) -> Any:
    try:
        import xlrd  # type: ignore[import-untyped]
    except ImportError:
        problem = "reading .xls requires xlrd; install it or save the table as CSV"
        raise DataError(path, problem) from None
    try:
        return xlrd.open_workbook(str(path), logfile=io.StringIO()).sheet_by_index(0)
    except (xlrd.XLRDError, xlrd.compdoc.CompDocError, *_XLRD_ERRORS) as error:
        problem = f"is not a whole .xls file ({_line(error)}); copy it again or save it as CSV"
        raise DataError(path, problem) from None


def _csv_chunks(table: CreditTable) -> Iterator[tuple[Chunk, Sequence[int]]]:
    with _opened(table.path) as file:
        numbered = _rows(file)
        first = list(islice(numbered, 2))
        headers = [next(csv.reader([line])) for _, line in first]
        skip = _header_rows(headers)
        wanted = positions(table.path, headers[skip - 1] if headers else [], table.columns)
        pending = first[skip:]
        while lines := pending + list(islice(numbered, table.chunk_rows - len(pending))):
            pending = []
            yield _parse(table, lines, wanted), [number for number, _ in lines]


def _header_rows(rows: Sequence[Sequence[str]]) -> int:
    """Return the number of header rows: 2 in UCI's files, where X1..X23 precede the names."""
    second = {canonical(name) for name in rows[1]} if len(rows) > 1 else set()
    return 2 if FEATURES[0] in second else 1


def _parse(table: CreditTable, lines: Sequence[tuple[int, str]], wanted: Sequence[int]) -> Chunk:
    try:
        return np.loadtxt(
            [line for _, line in lines],
            delimiter=",",
            quotechar='"',
            comments=None,
            usecols=wanted,
            ndmin=2,
        )
    except ValueError:
        for number, line in lines:
            _check_cells(table, number, next(csv.reader([line])), wanted)
        raise


def _check_cells(
    table: CreditTable, number: int, cells: Sequence[str], wanted: Sequence[int]
) -> None:
    """Raise a DataError for the first cell of a row that is missing or is not a number."""
    for column, position in zip(table.columns, wanted, strict=True):
        if position >= len(cells):
            raise DataError(table.path, "is missing in this row", column=column, row=number)
        cell = cells[position]
        if not _is_number(cell):
            problem = f"{textwrap.shorten(cell, 40)!r} is not a number" if cell else "is empty"
            raise DataError(table.path, problem, column=column, row=number)


def _is_number(cell: str) -> bool:
    """Return whether numpy reads a cell; Python also reads 1_000 and digits of other scripts."""
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell


def _excel_chunks(table: CreditTable) -> Iterator[tuple[Chunk, Sequence[int]]]:
    sheet = _excel_sheet(table.path)
    headers = _excel_header(sheet)
    skip = _header_rows(headers)
    wanted = positions(table.path, headers[skip - 1] if headers else [], table.columns)
    for start in range(skip, sheet.nrows, table.chunk_rows):
        rows = range(start, min(start + table.chunk_rows, sheet.nrows))
        cells = [[str(cell) for cell in sheet.row_values(n)] for n in rows]
        for n, row in zip(rows, cells, strict=True):
            _check_cells(table, n + 1, row, wanted)
        values = [[float(row[position]) for position in wanted] for row in cells]
        yield np.array(values), [n + 1 for n in rows]


def _check_values(table: CreditTable, chunk: Chunk, row_numbers: Sequence[int]) -> None:
    # Features are float32: a greater value would become infinite.
    bad_cells = np.argwhere(~(np.abs(chunk) <= np.finfo(np.float32).max))
    if len(bad_cells):
        row, column = (int(index) for index in bad_cells[0])
        value = chunk[row, column]
        problem = f"{value} is not a finite number"
        if np.isfinite(value):
            problem = f"{value} is beyond the numbers that float32 can hold"
        raise DataError(table.path, problem, column=table.columns[column], row=row_numbers[row])
    if TARGET not in table.columns:
        return
    labels = chunk[:, list(table.columns).index(TARGET)]
    bad_labels = np.flatnonzero((labels != 0) & (labels != 1))
    if len(bad_labels):
        row = int(bad_labels[0])
        raise DataError(
            table.path, f"{labels[row]:g} is neither 0 nor 1", column=TARGET, row=row_numbers[row]
        )
