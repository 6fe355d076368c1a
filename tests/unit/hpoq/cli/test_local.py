"""`hpoq local deploy`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpoq.local import cloud as clouds
from tests.support.command_line import Run


class RecordingCloud:
    """A running cloud that records which functions are invoked."""

    def __init__(self) -> None:
        self.invoked: list[str] = []

    def deploy(
        self, context: dict[str, str], *, app: Path | None, say: Callable[[str], None]
    ) -> dict[str, str]:
        return {"DispatcherFunctionName": f"{context['name']}-dispatcher"}

    def run_function(self, function: str) -> None:
        self.invoked.append(function)


def test_the_first_cycle_runs_with_the_deployment_so_that_clients_know_the_settings(
    hpoq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = RecordingCloud()
    monkeypatch.setattr(clouds, "find", lambda _: cloud)
    status, out, _ = hpoq("local", "deploy", "-c", "name=other")
    assert status == 0
    assert out == "DispatcherFunctionName = other-dispatcher\n"
    assert cloud.invoked == ["other-dispatcher"]
