"""The notebooks run from top to bottom on an embedded cloud of their own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from hpoq.local import cloud as clouds
from tests.support.deployed_stack import ROOT

pytest.importorskip("nbclient")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Copy the project to another path with a home of its own, so that the clouds share nothing."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name in ("infra", "lambdas", "layers", "training", "hpoq", "notebooks", "examples"):
        ignored = shutil.ignore_patterns("__pycache__", ".hpoq", ".cache*")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    cache = ROOT / "layers" / "sagemaker_sdk" / ".cache"
    if cache.exists():  # the layer that is already built is the same
        shutil.copytree(cache, folder / "layers" / "sagemaker_sdk" / ".cache")
    for name in ("app.py", "cdk.json"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPOQ_HOME", str(folder / ".hpoq"))
        csv = ROOT.parent / "shared" / "data" / "UCI_Credit_Card.csv"
        if csv.exists():
            patch.setenv("HPOQ_DATA", str(csv))
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        yield folder
        clouds.find(folder / ".hpoq").stop()


@pytest.mark.ci
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [path.name for path in NOTEBOOKS])
def test_a_notebook_runs_from_top_to_bottom(name: str, project: Path) -> None:
    sys.path.insert(0, str(ROOT / "notebooks"))
    from execute import execute

    done = execute(project / "notebooks" / name, keep=False)
    assert all(cell.execution_count for cell in done.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_committed_notebook_has_its_outputs_and_no_logic(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert not any("def " in cell.source or "class " in cell.source for cell in cells)
    assert str(Path.home()) not in path.read_text()
