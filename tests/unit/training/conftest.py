from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.training.scripts import CSV, prepare


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real set where it is at hand, else the stand-in of the same columns."""
    out = tmp_path_factory.mktemp("credit-default")
    ended = prepare(out, *(["--data", str(CSV)] if CSV.exists() else ["--synthetic"]))
    assert ended.returncode == 0, ended.stderr
    return out
