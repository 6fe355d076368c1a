"""Ray Tune searches on one host: what they leave, how they go on, what they say when all fails."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

ALGORITHMS = ("random", "optuna", "hyperopt")
TRIALS = 4
FINAL = re.compile(r"best_epoch=\d+ validation:auc=([0-9.]+) .* test:auc=([0-9.]+)")

# All searches in one process and on one cluster, whose start is what takes long.
SEARCHES = """
import json, os, sys
from contextlib import suppress
from pathlib import Path
from credit_default.container import Folders, reasons_reported
from ray_tune.cluster import cluster
from ray_tune.node import Offer

data, out, searches = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
parts = {name: data / name for name in ("train", "validation", "test")}
with cluster(Offer(cpus=1)):
    import ray
    from ray_tune.search import Search, search
    from ray_tune.space import SPACE

    for name, where, told in searches:
        streams = [os.open(out / f"{name}.{stream}", os.O_CREAT | os.O_WRONLY) for stream in "12"]
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
        folders = Folders(**parts, model=out / where / "model", checkpoints=None)
        with suppress(SystemExit), reasons_reported():
            search(Search(space=SPACE, storage=str(out / where), **told), folders)
        sys.stdout.flush()
    session = ray.get_runtime_context().get_session_name()
    logs = Path("/tmp/ray", session, "logs").glob("worker-*.out")
    (out / "workers").write_text(" ".join(each.name for each in logs))
"""


@pytest.fixture(scope="module")
def searched(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searches")
    quick = {"trials": TRIALS, "fixed": {"epochs": 2, "hidden": "16", "batch-size": 512}}
    diverging = {"lr": 1000, "optimizer": "sgd", "weight-decay": 1000, "batch-size": 16}
    searches: list[tuple[str, str, dict[str, object]]] = [
        *((name, name, quick | {"algorithm": name}) for name in ALGORITHMS),
        *((f"{name}-again", name, quick | {"algorithm": name}) for name in ALGORITHMS),
        ("diverging", "diverging", {"trials": 1, "failures": 0, "fixed": diverging}),
    ]
    command = [sys.executable, "-c", SEARCHES, str(small), str(folder), json.dumps(searches)]
    environ = os.environ | {"PYTHONPATH": str(ROOT / "training")}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_search_leaves_its_table_and_its_best_model(algorithm: str, searched: Path) -> None:
    found = FINAL.search((searched / f"{algorithm}.1").read_text())
    assert found is not None, (searched / f"{algorithm}.2").read_text()
    model = searched / algorithm / "model"
    assert {path.name for path in model.iterdir()} == {
        "model.pt",
        "results.csv",
        "results.parquet",
    }
    with (model / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == TRIALS
    assert float(found[1]) == pytest.approx(max(float(row["validation_auc"]) for row in table))
    columns = pyarrow.parquet.read_table(model / "results.parquet").to_pydict()
    assert [f"{auc:.6f}" for auc in columns["validation_auc"]] == [
        f"{float(row['validation_auc']):.6f}" for row in table
    ]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_search_that_has_ended_is_restored_and_not_run_twice(
    algorithm: str, searched: Path
) -> None:
    said = (searched / f"{algorithm}-again.2").read_text()
    assert "resuming the search" in said
    first = (searched / f"{algorithm}.1").read_text()
    assert (searched / f"{algorithm}-again.1").read_text() == first


def test_no_process_is_started_that_runs_no_trial(searched: Path) -> None:
    jobs = {name.split("-")[2] for name in (searched / "workers").read_text().split()}
    assert jobs == {"01000000"}, "all have worked for the search's own driver"


def test_a_search_of_which_no_trial_succeeds_says_why_in_one_line(searched: Path) -> None:
    said = (searched / "diverging.2").read_text()
    assert "Traceback" not in said
    assert said.splitlines()[-1] == (
        "error: none of 1 trials has succeeded: "
        "all that have reported have diverged; lower lr or set gradient-clip"
    )
