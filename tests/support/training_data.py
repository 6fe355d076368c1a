from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from credit_default.sources import Source, synthesise, write_csv
from prepare_data import prepare as split
from tests.support.training_scripts import CSV, prepare

SMALL_ROWS = 2_000


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real set where it is at hand, else the stand-in of the same columns."""
    out = tmp_path_factory.mktemp("credit-default")
    ended = prepare(out, *(["--data", str(CSV)] if CSV.exists() else ["--synthetic"]))
    assert ended.returncode == 0, ended.stderr
    return out


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few invented rows, for tests of how something runs and not of how well."""
    out = tmp_path_factory.mktemp("small")
    write_csv(out / "small.csv", synthesise(SMALL_ROWS, np.random.default_rng(0)))
    split(Source(out / "small.csv"), out)
    return out
