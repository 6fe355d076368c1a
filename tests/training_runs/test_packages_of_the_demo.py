"""`make demo` works with the packages of requirements-demo.in alone, which it installs first."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "requirements-demo.in").read_text().splitlines()
NAMED = [Requirement(line).name for line in LINES if line and not line.startswith("#")]
ALONE = ["torch", "uv", "hpoq"]  # tools/set_up.py installs each by itself
# Hides packages from one process, as if they were not installed.
HIDE = """
import runpy, sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, *more):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, *more)
hidden = set(sys.argv.pop(1).split(","))
sys.meta_path[:] = map(Hiding, sys.meta_path)
sys.path[:0] = [".", "lambdas", "examples/demo"]
"""
PARTS = {
    "the demo": "runpy.run_path('examples/demo/run.py', run_name='demo')",
    "the app": """
import infra.hpo_stack, cdk_nag, hpo_dispatcher.tuning_job.builder, infra.settings, infra.templates
""",
    "the commands": """
import hpoq.cli.tables, hpoq.cli.noted_table, hpoq.presentation, hpoq.wait_reasons
import hpo_dispatcher.scheduling.forecast.outlooks, hpoq.results.models
import hpoq.client, hpoq.preview, hpoq.cli.app, hpoq.local.cloud, hpoq.local.lifecycle.deployment
""",
    "the data": """
sys.path.insert(0, "training")
import prepare_data, ucimlrepo
""",
    "a training job": """
sys.path.insert(0, "training")
import train_cpu
train_cpu.main(["--data-dir", sys.argv[1], "--model-dir", sys.argv[2], "--epochs", "1"])
""",
}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def with_dependencies(*names: str) -> set[str]:
    """Return packages and all that they need on this machine."""
    found: set[str] = set()
    wanted = list(names)
    while wanted:
        name = normalized(wanted.pop())
        if name in found:
            continue
        found.add(name)
        requirements = map(Requirement, metadata.requires(name) or [])
        wanted += [
            each.name
            for each in requirements
            if not each.marker or each.marker.evaluate({"extra": ""})
        ]
    return found


@pytest.fixture(scope="module")
def hidden() -> str:
    """The modules of all packages that only the whole set-up installs."""
    installed = with_dependencies(*NAMED, *ALONE)
    modules = metadata.packages_distributions().items()
    others = {
        module
        for module, owners in modules
        if not installed & {normalized(each) for each in owners}
    }
    assert {"ray", "plotly", "pytest", "sagemaker", "optuna"} <= others
    return ",".join(sorted(others))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_demo_needs_no_other_package(
    part: str, hidden: str, small: Path, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HIDE + PARTS[part], hidden, str(small), str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


def test_the_list_names_what_torch_needs() -> None:
    """PyTorch is installed by itself, without its dependencies."""
    assert with_dependencies("torch") - {"torch"} <= with_dependencies(*NAMED)
