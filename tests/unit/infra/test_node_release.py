"""The line about the release of Node.js that replaces the banner of jsii."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.node_release import installed_release, notice, replace_notices


@pytest.mark.parametrize("release", [22, 24])
def test_a_supported_release_is_not_mentioned(release: int) -> None:
    assert notice(release) is None


def test_a_release_past_its_end_of_life_and_a_later_one_get_one_line_with_the_fix() -> None:
    assert notice(20) == "Node.js 20 has reached its end of life. Install Node.js 22 or 24"
    assert notice(26) == "Node.js 26 is not tested. Install Node.js 22 or 24"


def test_the_release_is_that_of_the_node_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v20.20.2\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    environ: dict[str, str] = {}
    assert replace_notices(environ) == notice(20)
    # The list of releases that @jsii/check-node expects: any other text silences nothing.
    assert environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] == "20"


def test_without_node_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installed_release() is None
    assert replace_notices({}) is None
