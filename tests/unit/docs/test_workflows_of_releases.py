"""What the workflows of the repository run and may do, and what a release has been through."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


TEST, RELEASE = (ROOT / ".github" / "workflows" / f"{name}.yml" for name in ("test", "release"))


def read(workflow: Path) -> Any:
    return yaml.safe_load(workflow.read_text())


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = read(workflow)["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)
def test_an_action_is_named_by_its_commit_which_cannot_be_moved(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)
def test_the_token_is_left_to_no_later_step(workflow: Path) -> None:
    checkouts = [step for step in steps(workflow) if "checkout" in step.get("uses", "")]
    assert checkouts
    assert all(each["with"]["persist-credentials"] is False for each in checkouts)


def test_only_a_release_may_write_and_only_what_it_publishes() -> None:
    assert read(TEST)["permissions"] == {"contents": "read"}
    assert "permissions" not in read(TEST)["jobs"]["test"]
    release = read(RELEASE)
    assert release["permissions"] == {}
    assert release["jobs"]["release"]["permissions"] == {
        "contents": "write", "id-token": "write", "attestations": "write",
    }  # fmt: skip
    assert list(release[True]) == ["push"], "YAML reads the key `on` as true"
    assert list(release[True]["push"]) == ["tags"]


def test_a_release_is_tested_audited_completely_and_attested_before_it_is_published() -> None:
    done = [step.get("run") or step["uses"].partition("@")[0] for step in steps(RELEASE)]
    wanted = [
        'grep -qx "version = \\"${GITHUB_REF_NAME#v}\\"" pyproject.toml', ".ci/run",
        "make audit COMPLETE=1", "make dist sbom", "actions/attest-build-provenance",
    ]  # fmt: skip
    assert [each for each in done if each in wanted] == wanted
    assert done[-1].startswith("gh release create")
    attested = next(step for step in steps(RELEASE) if "attest" in step.get("uses", ""))
    assert attested["with"] == {"subject-path": "dist/*"}
    assert not any("continue-on-error" in step or "if" in step for step in steps(RELEASE))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)
def test_every_target_and_script_that_a_workflow_runs_exists(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for step in steps(workflow):
        program, *arguments = step.get("run", "true").split()
        if program == "make":
            assert {each for each in arguments if "=" not in each} <= targets
        elif "/" in program:
            assert (ROOT / program).stat().st_mode & 0o111


def test_a_release_has_the_version_of_its_tag() -> None:
    (check,) = [s["run"] for s in steps(RELEASE) if s.get("name", "").startswith("The tag")]
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    for tag, found in ((f"v{version[1]}", 0), ("v9.9.9", 1)):
        ended = subprocess.run(
            ["bash", "-ec", check], cwd=ROOT, env=os.environ | {"GITHUB_REF_NAME": tag}, check=False
        )
        assert ended.returncode == found
