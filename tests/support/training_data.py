"""Fixtures with prepared training data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from credit_default.dataset.sources import Source, synthesize, write_csv
from prepare_data import prepare as split
from tests.support.training_scripts import CSV, prepare

SMALL_ROWS = 2_000


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the prepared real set, or of synthetic rows where it is missing."""
    out = tmp_path_factory.mktemp("credit-default")
    ended = prepare(out, *(["--data", str(CSV)] if CSV.exists() else ["--synthetic"]))
    assert ended.returncode == 0, ended.stderr
    return out


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of 2,000 synthetic rows, for tests that need no realistic metrics."""
    out = tmp_path_factory.mktemp("small")
    write_csv(out / "small.csv", synthesize(SMALL_ROWS, np.random.default_rng(0)))
    split(Source(out / "small.csv"), out)
    return out
