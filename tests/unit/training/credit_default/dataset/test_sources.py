"""Where the data set comes from if no file is given, and what the user reads about it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import ucimlrepo

from credit_default.dataset.sources import find_source

LONG_ERROR = "<urlopen error [Errno -3] Temporary failure in name resolution> " * 3


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_offline_synthetic_rows_are_used_and_the_notes_fit_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(**_: int) -> None:
        raise ConnectionError(LONG_ERROR)

    monkeypatch.setattr(ucimlrepo, "fetch_ucirepo", offline)
    with find_source() as source:
        assert source.kind == "synthetic"
        assert source.path.exists()
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    notes = " ".join(" ".join(lines).split())
    assert "Temporary failure in name resolution" in notes
    assert notes.endswith("To use the real data, pass --data or set HPOQ_DATA.")


def test_the_downloaded_set_is_kept_for_the_next_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.DataFrame({"ID": [1, 2]})
    answer = SimpleNamespace(data=SimpleNamespace(original=table))
    monkeypatch.setattr(ucimlrepo, "fetch_ucirepo", lambda **_: answer)
    with find_source() as source:
        assert source.kind == "uci"
        assert source.path.read_text() == "ID\n1\n2\n"
    assert capsys.readouterr().err == "NOTE: downloading the set from UCI, once.\n"

    monkeypatch.setattr(ucimlrepo, "fetch_ucirepo", lambda **_: pytest.fail("downloaded again"))
    with find_source() as source:
        assert source.kind == "uci"
