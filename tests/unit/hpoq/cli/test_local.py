"""`hpoq local deploy`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpoq.local import cloud as clouds
from tests.support.command_line import Run


class RecordingCloud:
    """A running cloud that records with which outputs the dispatcher runs."""

    def __init__(self) -> None:
        self.ran_with: list[dict[str, str]] = []

    def deploy(
        self, context: dict[str, str], *, app: Path | None, say: Callable[[str], None]
    ) -> dict[str, str]:
        return {"Name": context["name"]}

    def run_dispatcher(self, outputs: dict[str, str]) -> None:
        self.ran_with.append(outputs)


def test_the_first_cycle_runs_with_the_deployment_so_that_clients_know_the_settings(
    hpoq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = RecordingCloud()
    monkeypatch.setattr(clouds, "find", lambda _: cloud)
    status, out, _ = hpoq("local", "deploy", "-c", "name=other")
    assert status == 0
    assert out == "Name = other\n"
    assert cloud.ran_with == [{"Name": "other"}]
