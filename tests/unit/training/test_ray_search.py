"""A Ray Tune search as SageMaker runs it on one host."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "training" / "train_ray_cpu.py"
FINAL = re.compile(r"best_epoch=\d+ validation:auc=([0-9.]+) .* test:auc=([0-9.]+)")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("credit-default")
    preparing = [sys.executable, "-m", "training.prepare_data", "--synthetic", "--out", str(out)]
    subprocess.run(preparing, cwd=ROOT, check=True, capture_output=True)
    return out


def command(data: Path, folder: Path, *more: str) -> list[str]:
    folders = ["--data-dir", str(data), "--model-dir", str(folder / "model")]
    kept = ["--checkpoint-dir", str(folder / "kept"), "--hidden", "16", "--batch-size", "2048"]
    return [sys.executable, str(SCRIPT), *folders, *kept, *more]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "model" / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("algorithm", ["random", "optuna", "hyperopt"])
def test_a_search_leaves_its_table_and_its_best_model_and_is_not_run_twice(
    algorithm: str, data: Path, tmp_path: Path
) -> None:
    wanted = command(data, tmp_path, "--trials", "4", "--epochs", "2", "--cpus", "2")
    wanted += ["--algorithm", algorithm]
    first = subprocess.run(wanted, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    found = FINAL.search(first.stdout)
    assert found is not None
    assert (tmp_path / "model" / "model.pt").is_file()
    assert (tmp_path / "model" / "results.parquet").is_file()
    table = rows(tmp_path)
    assert len(table) == 4
    assert float(found[1]) == pytest.approx(max(float(row["validation_auc"]) for row in table))

    again = subprocess.run(wanted, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "resuming the search" in again.stderr
    assert FINAL.search(again.stdout)[0] == found[0]  # type: ignore[index]


def test_a_search_of_which_no_trial_succeeds_says_why_in_one_line(
    data: Path, tmp_path: Path
) -> None:
    diverging = ["--lr", "1000", "--optimizer", "sgd", "--weight-decay", "1000"]
    wanted = command(data, tmp_path, "--trials", "1", "--cpus", "1", "--failures", "0", *diverging)
    ended = subprocess.run(wanted, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1] == (
        "error: none of 1 trials has succeeded: "
        "all that have reported have diverged; lower lr or set gradient-clip"
    )
