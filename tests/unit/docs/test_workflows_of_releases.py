"""Tests of the workflows of the repository: what they run exists, and cannot be exchanged."""

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


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)
def test_every_action_is_pinned_to_a_commit(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [each for each in used if not re.search(r"@[0-9a-f]{40}$", each)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.stem)
def test_every_target_and_script_that_a_workflow_runs_exists(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for step in steps(workflow):
        program, *arguments = step.get("run", "true").split()
        if program == "make":
            assert set(arguments) <= targets
        elif "/" in program:
            assert (ROOT / program).stat().st_mode & 0o111


def test_a_release_has_the_version_of_its_tag() -> None:
    (check,) = [
        s["run"]
        for s in steps(ROOT / ".github/workflows/release.yml")
        if s.get("name", "").startswith("The tag")
    ]
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    for tag, found in ((f"v{version[1]}", 0), ("v9.9.9", 1)):
        ended = subprocess.run(
            ["bash", "-ec", check], cwd=ROOT, env=os.environ | {"GITHUB_REF_NAME": tag}, check=False
        )
        assert ended.returncode == found
