"""Which paths stay visible below folders that a training process does not share."""

from __future__ import annotations

from pathlib import Path

from hpoq.local.sagemaker.training.processes.isolation import hidden


def test_only_paths_below_a_replaced_folder_are_hidden(tmp_path: Path) -> None:
    place, inside = tmp_path / "tmp", tmp_path / "tmp" / "a"
    (inside / "b").mkdir(parents=True)
    (place / "ab").mkdir()
    paths = [str(each) for each in (inside / "b", inside, place / "ab", tmp_path, place)]
    assert hidden([*paths, "", "relative", str(place / "missing")], [str(place)]) == [
        str(inside), str(place / "ab"),
    ]  # fmt: skip
