"""The sources of the credit-default set: a given file, UCI's repository, or synthetic rows."""

import os
import socket
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from credit_default.dataset.schema import BILL, COLUMNS, PAID, PAYMENT_STATUS, TARGET

UCI_ID = 350
FETCH_TIMEOUT_SECONDS = 20.0
SYNTHETIC_ROWS = 30_000  # as many as the real set has

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """A table and its origin: "given", "uci" or "synthetic"."""

    path: Path
    kind: str = "given"


@contextmanager
def find_source(given: Path | None = None, *, synthetic: bool = False) -> Iterator[Source]:
    """Yield the given file, else UCI's (downloaded once, then cached), else synthetic rows.

    Print a note when the rows are synthetic.
    """
    with tempfile.TemporaryDirectory() as scratch:
        if given and not synthetic:
            yield Source(given)
        elif not synthetic and (cached := _from_uci()):
            yield Source(cached, "uci")
        else:
            _note(
                "using SYNTHETIC rows, whose metrics say nothing about the real data. To use the "
                "real data, pass --data or set HPOQ_DATA."
            )
            path = Path(scratch, "synthetic.csv")
            write_csv(path, synthesize(SYNTHETIC_ROWS, np.random.default_rng(0)))
            yield Source(path, "synthetic")


def _note(text: str) -> None:
    """Print a note on stderr, in lines of at most 80 characters."""
    print(textwrap.fill(f"NOTE: {text}", 80, subsequent_indent="      "), file=sys.stderr)


def _from_uci() -> Path | None:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "hpoq")
    path = cache / "credit-default.csv"
    if path.is_file():
        return path
    _note("downloading the set from UCI, once.")
    timeout_before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(FETCH_TIMEOUT_SECONDS)  # ucimlrepo has no timeout of its own
    try:
        from ucimlrepo import fetch_ucirepo

        table = fetch_ucirepo(id=UCI_ID).data.original
    except (ImportError, OSError, ValueError) as error:  # ConnectionError is an OSError
        _note(f"cannot download the set from UCI ({error}).")
        return None
    finally:
        socket.setdefaulttimeout(timeout_before)
    cache.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    table.to_csv(temporary, index=False)
    temporary.replace(path)
    return path


def write_csv(path: Path, columns: dict[str, Column]) -> None:
    """Write columns of whole numbers under the published file's names."""
    table = np.stack([columns[name] for name in COLUMNS], axis=1)
    np.savetxt(path, table, fmt="%d", delimiter=",", header=",".join(COLUMNS), comments="")


def synthesize(rows: int, rng: np.random.Generator) -> dict[str, Column]:
    """Return synthetic customers whose payments predict a default about as well as in the set."""
    strain = rng.normal(size=rows)
    limit = 10_000 * np.clip(np.rint(np.exp(rng.normal(2.5 - 0.35 * strain, 0.8))), 1, 100)
    columns = {
        "LIMIT_BAL": limit,
        "SEX": rng.choice([1.0, 2.0], p=[0.4, 0.6], size=rows),
        "EDUCATION": rng.choice([1.0, 2.0, 3.0, 4.0], p=[0.35, 0.47, 0.16, 0.02], size=rows),
        "MARRIAGE": rng.choice([1.0, 2.0, 3.0], p=[0.45, 0.53, 0.02], size=rows),
        "AGE": np.clip(np.rint(21 + rng.gamma(2.5, 6.0, size=rows)), 21, 79),
    }
    use = 1 / (1 + np.exp(-(strain + rng.normal(-0.3, 1.0, size=rows))))
    late = strain + rng.normal(0, 0.8, size=rows)
    for status, bill, paid in zip(PAYMENT_STATUS, BILL, PAID, strict=True):
        late = 0.85 * late + 0.15 * strain + rng.normal(0, 0.5, size=rows)
        columns[status] = np.select(
            [late > 2.4, late > 1.3, late > 0.9, late > -0.6, late > -1.2],
            [3.0, 2.0, 1.0, 0.0, -1.0],
            -2.0,
        )
        columns[bill] = np.rint(limit * np.clip(use + rng.normal(0, 0.08, size=rows), -0.05, 1.3))
        share = np.where(late > 0.9, 0.02, rng.beta(0.6, 3.0, size=rows))
        columns[paid] = np.rint(np.maximum(columns[bill], 0) * share)
    risk = -2.1 + 0.9 * strain + 0.9 * (columns[PAYMENT_STATUS[0]] >= 2)
    columns[TARGET] = (rng.random(rows) < 1 / (1 + np.exp(-risk))).astype(float)
    return columns
