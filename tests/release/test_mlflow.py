"""The export to MLflow with MLflow itself, which is not among the project's requirements."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# MLflow's client without its server and user interface. Optuna requires SQLAlchemy and Alembic,
# with which the client stores runs in SQLite.
PACKAGE = "mlflow-skinny==3.17.2"
EXPORT = "tests/unit/hpoq/campaign/results/test_mlflow_runs.py"


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_trials_are_exported_to_the_real_mlflow(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(packages)]
    subprocess.run(
        [*install, "--constraint", str(ROOT / "requirements.txt"), PACKAGE], check=True, cwd=ROOT
    )

    path = os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", EXPORT],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped" not in ran.stdout
