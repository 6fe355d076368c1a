"""The package that users install works from its wheel alone, outside the repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hpoq.local.cloud import find
from tests.support.deployed_stack import ROOT
from tools import wheel

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without cdk.json in any folder above it."""
    return tmp_path_factory.mktemp("user")


class Environment:
    """A new Python environment with the wheel and some of its extras."""

    def __init__(self, place: Path, built: Path, extra: str) -> None:
        self.bin = place / "bin"
        uv("venv", "--quiet", "--python", sys.executable, str(place))
        package = f"hpoq{extra} @ {built.as_uri()}"
        uv("pip", "install", "--quiet", "--python", str(self.bin / "python"), package)

    def run(
        self, *command: str, folder: Path, status: int = 0, env: Mapping[str, str] | None = None
    ) -> str:
        """Run a program of the environment; return what it printed, errors last."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        kept["HPOQ_CACHE"] = str(self.bin.parent / "cache")  # of no other environment
        ended = subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=folder, env={**kept, **(env or {})}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == status, ended.stderr
        return ended.stdout + ended.stderr


def uv(*arguments: str) -> str:
    command = [sys.executable, "-m", "uv", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def local(
    built: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Environment]:
    environment = Environment(tmp_path_factory.mktemp("local"), built, "[local]")
    yield environment
    environment.run("hpoq", "local", "down", folder=folder)


def test_a_first_tuning_job_of_the_page_runs_from_the_wheel_alone(
    local: Environment, folder: Path
) -> None:
    assert "is up" in local.run("hpoq", "local", "up", folder=folder)
    environment = find(folder / ".hpoq").env
    (program,) = (
        code
        for code in CODE.findall((ROOT / "docs" / "local.md").read_text())
        if "create_hyper_parameter_tuning_job" in code
    )
    (folder / "first.py").write_text(program)
    said = local.run("python", "first.py", folder=folder, env=environment)
    status, lr, _ = said.split()
    assert status == "Completed"
    assert 0.001 <= float(lr) <= 1


def test_a_deployment_needs_the_app_and_says_so(local: Environment, folder: Path) -> None:
    local.run("hpoq", "local", "up", folder=folder)
    said = local.run("hpoq", "local", "deploy", folder=folder, status=1)
    assert "There is no cdk.json in" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("ui --no-browser", "hpoq[ui]"),
        ("simulate -n 9 --plot x.html", "hpoq[campaign]"),
    ],
)
def test_a_part_that_is_not_installed_is_one_line_with_the_fix(
    bare: Environment, folder: Path, command: str, missing: str
) -> None:
    said = bare.run("hpoq", *command.split(), folder=folder, status=1)
    assert len(said.splitlines()) == 1, said
    assert f"pip install '{missing}'" in said


@pytest.fixture(scope="module")
def bare(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("bare"), built, "")


IMPORT_ALL = """
import importlib, pkgutil, sys
part = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(part.__path__, f"{sys.argv[1]}."):
    importlib.import_module(module.name)
for package in sys.argv[2:]:
    importlib.import_module(package)
"""


@pytest.mark.parametrize(
    ("extra", "part", "imported_late"),
    [
        ("ui", "hpoq.ui", ["optuna", "plotly"]),
        ("campaign", "hpoq.campaign", ["optuna", "pandas", "plotly", "pyarrow", "sklearn"]),
    ],
)
def test_an_extra_has_the_packages_of_its_part(
    built: Path, folder: Path, tmp_path: Path, extra: str, part: str, imported_late: list[str]
) -> None:
    environment = Environment(tmp_path / extra, built, f"[{extra}]")
    program = ("python", "-c", IMPORT_ALL, part, *imported_late)
    assert environment.run(*program, folder=folder) == ""


def test_one_command_runs_without_an_installation(built: Path, folder: Path) -> None:
    assert uv("tool", "run", "--from", str(built), "hpoq", "--version").startswith("hpoq ")
