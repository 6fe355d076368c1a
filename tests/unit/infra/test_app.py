"""app.py as cdk starts it: with any Python of the machine, in the environment of the project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.node_release import installed_release, notice
from infra.source import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the app, and a PATH with one Python, which has no packages."""
    shutil.copy(ROOT / "app.py", tmp_path)
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    written(tmp_path / "path" / "python3", f'exec {sys.executable} -S "$@"')
    return tmp_path


def written(file: Path, command: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(f"#!/bin/sh\n{command}\n")
    file.chmod(0o755)


def start(clone: Path) -> subprocess.CompletedProcess[str]:
    """Run the app as cdk does: its command in a shell."""
    command = json.loads((ROOT / "cdk.json").read_text())["app"]
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=clone,
        env={"PATH": str(clone / "path")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_environment_of_the_project_runs_the_app(clone: Path) -> None:
    written(clone / ".venv" / "bin" / "python", 'echo "set up: $@"')
    ended = start(clone)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "set up: app.py\n", "")


def test_before_make_setup_one_line_says_so(clone: Path) -> None:
    ended = start(clone)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"hpoq: {sys.executable} does not have the package aws_cdk. Run `make setup`, then repeat "
        "this command\n"
    )


def test_an_interrupted_make_setup_is_the_same_line(clone: Path) -> None:
    folder = clone / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)  # without pyvenv.cfg: the packages of the base
    ended = start(clone)
    assert ended.returncode == 1
    assert "does not have the package" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_no_banner_hides_the_error_of_a_setting(tmp_path: Path) -> None:
    context = tmp_path / "context.json"
    context.write_text(json.dumps({"teams": {"fraud": {}}, "guardrail": {}}))
    ended = subprocess.run(
        [sys.executable, ROOT / "app.py"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CDK_CONTEXT_JSON": context.read_text()},
        capture_output=True,
        text=True,
        check=False,
    )
    of_node = notice(installed_release() or 0)
    expected = [f"hpoq: note: {of_node}"] if of_node else []
    assert ended.stderr.splitlines() == [
        *expected,
        "hpoq: guardrail: unknown setting. Did you mean guardrails?",
    ]
