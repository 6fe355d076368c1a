"""Measure the memory that 5 million rows take: preparing them, and training on them.

    HPOQ_DATA=UCI_Credit_Card.csv python -m benchmarks large_tables

The rows of the real set are repeated into one Parquet file. Prints the peak resident memory of each
process, in GB, and seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measure import Measure, at_most, print_table, shown
from benchmarks.training import CSV, ROOT

NAME = "large tables"
ROWS = 5_000_000
GOAL = 2.0  # GB
SETTINGS = ("--epochs", "1", "--batch-size", "8192", "--hidden", "64-32")


def results() -> Iterable[Measure]:
    """Yield memory and time of both scripts."""
    with tempfile.TemporaryDirectory() as scratch:
        table, data = Path(scratch, "rows.parquet"), Path(scratch, "data")
        repeat(Path(os.environ.get("HPOQ_DATA") or CSV), table)
        yield from _measured("prepare_data.py", "--data", str(table), "--out", str(data))
        folders = ("--data-dir", str(data), "--model-dir", str(Path(scratch, "model")))
        yield from _measured("train_cpu.py", *folders, *SETTINGS)


def repeat(source: Path, target: Path) -> None:
    """Write a Parquet file of ROWS rows, those of the CSV file over and over."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    part = pa.Table.from_pandas(pd.read_csv(source), preserve_index=False)
    with parquet.ParquetWriter(target, part.schema) as writer:
        for start in range(0, ROWS, part.num_rows):
            writer.write_table(part.slice(0, min(part.num_rows, ROWS - start)))


def _measured(script: str, *arguments: str) -> Iterable[Measure]:
    command = [sys.executable, str(ROOT / "training" / script), *arguments]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as started:
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise RuntimeError(f"{script} ended with status {started.returncode}")
    seconds = time.perf_counter() - began
    peak = used.ru_maxrss * 1024 / 1e9  # KiB on Linux
    yield at_most(NAME, f"{script}, 5,000,000 rows: peak memory", peak, GOAL, "GB")
    yield shown(NAME, f"{script}, 5,000,000 rows: wall", seconds, "s")


if __name__ == "__main__":
    print_table(results())
