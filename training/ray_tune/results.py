"""The table of a search: one row per trial, written next to the best model."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from ray import tune


def write_table(results: tune.ResultGrid, folder: Path) -> None:
    """Write results.parquet and results.csv: configuration, last metrics, host and error."""
    rows = [
        {
            **{f"config/{name}": str(value) for name, value in (each.config or {}).items()},
            **{
                name: value
                for name, value in (each.metrics or {}).items()
                if isinstance(value, (int, float, str))
            },
            "error": str(each.error) if each.error else "",
        }
        for each in (results[index] for index in range(len(results)))
    ]
    names = sorted({name for row in rows for name in row})
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    pa.parquet.write_table(table, folder / "results.parquet")
    pa.csv.write_csv(table, folder / "results.csv")
