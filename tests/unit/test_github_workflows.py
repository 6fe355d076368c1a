"""What the workflows of GitHub may do, and what a release has been through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
WORKFLOWS: dict[str, Any] = {
    file.stem: yaml.safe_load(file.read_text()) for file in FOLDER.glob("*.yml")
}


def steps(workflow: str) -> Iterator[dict[str, Any]]:
    for job in WORKFLOWS[workflow]["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_an_action_is_named_by_its_commit_which_cannot_be_moved(workflow: str) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_token_is_left_to_no_later_step(workflow: str) -> None:
    checkouts = [step for step in steps(workflow) if "checkout" in step.get("uses", "")]
    assert checkouts
    assert all(each["with"]["persist-credentials"] is False for each in checkouts)


def test_only_a_release_may_write_and_only_what_it_publishes() -> None:
    assert WORKFLOWS["test"]["permissions"] == {"contents": "read"}
    assert "permissions" not in WORKFLOWS["test"]["jobs"]["test"]
    release = WORKFLOWS["release"]
    assert release["permissions"] == {}
    assert release["jobs"]["release"]["permissions"] == {
        "contents": "write", "id-token": "write", "attestations": "write",
    }  # fmt: skip
    assert list(release[True]) == ["push"], "YAML reads the key `on` as true"
    assert list(release[True]["push"]) == ["tags"]


def test_a_release_is_tested_audited_completely_and_attested_before_it_is_published() -> None:
    done = [step.get("run") or step["uses"].partition("@")[0] for step in steps("release")]
    wanted = [
        'grep -qx "version = \\"${GITHUB_REF_NAME#v}\\"" pyproject.toml', ".ci/run",
        "make audit COMPLETE=1", "make dist sbom", "actions/attest-build-provenance",
    ]  # fmt: skip
    assert [each for each in done if each in wanted] == wanted
    assert done[-1].startswith("gh release create")
    attested = next(step for step in steps("release") if "attest" in step.get("uses", ""))
    assert attested["with"] == {"subject-path": "dist/*"}
    assert not any("continue-on-error" in step or "if" in step for step in steps("release"))
