"""Tests of how the Ray scripts install Ray."""

from __future__ import annotations

import sys
from pathlib import Path

from ray_tune.install import REQUIREMENTS, explain_failure, install_ray, pip_command

CHANNEL = {"SM_CHANNEL_DEPENDENCIES": "/opt/ml/input/data/dependencies"}


def test_without_the_channel_pip_uses_its_index() -> None:
    command = pip_command({})
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[-2:] == ["-r", str(REQUIREMENTS)]
    assert "--no-index" not in command


def test_with_the_channel_pip_uses_its_wheels_and_no_index() -> None:
    command = pip_command(CHANNEL)
    assert "--no-index" in command
    assert command[command.index("--find-links") + 1] == CHANNEL["SM_CHANNEL_DEPENDENCIES"]


def test_an_image_that_includes_ray_needs_nothing(tmp_path: Path) -> None:
    install_ray({"SM_CHANNEL_DEPENDENCIES": str(tmp_path / "empty")})


def test_a_failure_is_explained_in_one_line_that_names_the_ways_out() -> None:
    for environ in ({}, CHANNEL):
        reason = explain_failure(environ)
        assert "\n" not in reason
        assert "dependencies" in reason
        assert "docs/training.md" in reason
    assert "network isolation" in explain_failure({})
    assert "an image that includes Ray" in explain_failure({})
