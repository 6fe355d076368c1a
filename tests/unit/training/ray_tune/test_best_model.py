"""Tests of the file that contains the best model of a search so far."""

from __future__ import annotations

from pathlib import Path

from ray_tune.best_model import BestModel


def test_only_a_better_model_replaces_the_files(tmp_path: Path) -> None:
    paths = [tmp_path / "model" / "model.pt", tmp_path / "search" / "model.pt"]
    best = BestModel(paths, float("-inf"))
    for metric, content in ((0.7, b"first"), (0.6, b"worse"), (0.7, b"equal"), (0.8, b"better")):
        assert best.is_exceeded_by(metric) == (content in {b"first", b"better"})
        best.write(metric, content)
    assert [path.read_bytes() for path in paths] == [b"better", b"better"]


def test_a_resumed_search_keeps_its_model_until_a_better_one_is_found(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"kept")
    best = BestModel([tmp_path / "model.pt"], 0.75)
    best.write(0.7, b"worse")
    assert (tmp_path / "model.pt").read_bytes() == b"kept"


def test_a_closed_file_is_not_replaced(tmp_path: Path) -> None:
    best = BestModel([tmp_path / "model.pt"], 0.5)
    best.close()
    assert not best.is_exceeded_by(1.0)
    best.write(1.0, b"late")
    assert not (tmp_path / "model.pt").exists()
