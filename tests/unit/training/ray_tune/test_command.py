"""What the flags of a Ray Tune search mean, without a search."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from ray_tune.command import main

Settings = Callable[..., Any]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:
    """Return a function that returns the settings of the search that flags start."""
    found: list[Any] = []
    for name in ("SM_MODEL_DIR", "SM_CHECKPOINT_DIR", "SM_HOSTS", "SM_NUM_CPUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path / "of-a-container"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ray_tune.command.install_ray", lambda: None)
    monkeypatch.setattr("ray_tune.cluster.cluster", lambda _: nullcontext())
    monkeypatch.setattr("ray_tune.search.run_search", lambda each, _: found.append(each))
    before = signal.getsignal(signal.SIGTERM)

    def of(*flags: str) -> Any:
        main("A search.", gpu=False, argv=["--data", str(tmp_path), *flags])
        return found.pop()

    yield of
    signal.signal(signal.SIGTERM, before)


def test_a_search_ends_after_its_minutes_or_at_its_target(settings: Settings) -> None:
    found = settings("--minutes", "2.5", "--target", "0.8")
    assert (found.minutes, found.target) == (2.5, 0.8)
    assert (settings().minutes, settings().target) == (0.0, None)


def test_a_search_on_a_laptop_writes_below_the_current_folder_only(
    settings: Settings, tmp_path: Path
) -> None:
    """An ordinary user cannot create /opt/ml."""
    assert Path(settings().storage) == tmp_path / "ray-results"
    assert not (tmp_path / "of-a-container").exists()


def test_in_a_container_the_state_of_a_search_is_beside_its_model(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "of-a-container").mkdir()
    assert Path(settings().storage) == tmp_path / "of-a-container" / "ray-results"
