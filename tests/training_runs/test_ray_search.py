"""Tests of Ray Tune searches on one host: their output, resuming them, and their errors."""

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
MANY = 1_000
FINAL = re.compile(r"best_epoch=\d+ validation:auc=([0-9.]+) .* test:auc=([0-9.]+)")

# All searches run in one process and on one cluster, because starting a cluster takes long.
SEARCHES = """
import json, os, shutil, sys
from contextlib import suppress
from pathlib import Path
from credit_default.container import Folders, report_failure
from ray_tune.cluster import cluster
from ray_tune.node import NodeSettings

data, out, searches = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
parts = {name: data / name for name in ("train", "validation", "test")}
with cluster(NodeSettings(cpus=1)):
    import asyncio
    import ray
    from ray import tune
    from ray_tune.search import SearchSettings, run_search, tuner_of
    from ray_tune.space import SPACE
    from ray_tune.trial import METRIC

    class Meeting:
        def __init__(self):
            self.everyone = asyncio.Barrier(3)

        async def wait(self):
            await asyncio.wait_for(self.everyone.wait(), 60)

    class Waiting(tune.Trainable):
        def setup(self, config, meeting):
            ray.get(meeting.wait.remote())

        def step(self):
            return {METRIC: 0.5, "epoch": 1, "done": True}

    for name, where, options in searches:
        if name == "unreadable":
            shutil.copytree(out / "random", out / where)
            damaged = next((out / where).glob("search-*/tuner.pkl"))
            damaged.write_bytes(b"cno_such_module\\nname\\n.")
        if name == "other-data":  # the parts change places
            parts |= {"train": parts["validation"], "validation": parts["train"]}
        streams = [os.open(out / f"{name}.{stream}", os.O_CREAT | os.O_WRONLY) for stream in "12"]
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
        folders = Folders(**parts, model=out / name / "model", checkpoints=None)
        with suppress(SystemExit), report_failure():
            run_search(SearchSettings(space=SPACE, storage=str(out / where), **options), folders)
        sys.stdout.flush()
    for algorithm in ("optuna", "hyperopt"):
        settings = SearchSettings(
            space=SPACE, fixed={}, trials=3, algorithm=algorithm, cpus_per_trial=1 / 3,
            failures=0, storage=str(out / "together"),
        )
        meeting = ray.remote(Meeting).options(num_cpus=0).remote()
        waiting = tune.with_parameters(Waiting, meeting=meeting)
        waiting = tune.with_resources(waiting, {"cpu": settings.cpus_per_trial})
        results = tuner_of(settings, algorithm, waiting).fit()
        reached = [(results[number].metrics or {}).get(METRIC) for number in range(len(results))]
        (out / f"{algorithm}-together").write_text(str(reached))

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
        ("unreadable", "unreadable", quick),
        ("diverging", "diverging", {"trials": 1, "failures": 0, "fixed": diverging}),
        ("too-short", "limited", quick | {"minutes": 0.0001}),
        ("minutes", "limited", quick | {"minutes": 0.4, "trials": MANY}),
        ("target", "limited", quick | {"target": 0.5}),
        ("other-data", "random", quick),
    ]
    command = [sys.executable, "-c", SEARCHES, str(small), str(folder), json.dumps(searches)]
    environ = os.environ | {"PYTHONPATH": str(ROOT / "training")}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder


def rows(model: Path) -> list[dict[str, str]]:
    with (model / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def objectives(model: Path) -> list[float]:
    """Return the objectives of the trials that have one."""
    return [float(row["validation_auc"]) for row in rows(model) if row["validation_auc"]]


def final_objective(search: Path) -> float:
    found = FINAL.search(search.with_suffix(".1").read_text())
    assert found is not None, search.with_suffix(".2").read_text()
    return float(found[1])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_search_writes_its_table_and_its_best_model(algorithm: str, searched: Path) -> None:
    found = final_objective(searched / algorithm)
    model = searched / algorithm / "model"
    assert {path.name for path in model.iterdir()} == {
        "model.pt",
        "results.csv",
        "results.parquet",
    }
    table = rows(model)
    assert len(table) == TRIALS
    assert found == pytest.approx(max(float(row["validation_auc"]) for row in table))
    columns = pyarrow.parquet.read_table(model / "results.parquet").to_pydict()
    assert [f"{auc:.6f}" for auc in columns["validation_auc"]] == [
        f"{float(row['validation_auc']):.6f}" for row in table
    ]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_completed_search_is_restored_and_not_run_again(algorithm: str, searched: Path) -> None:
    log = (searched / f"{algorithm}-again.2").read_text()
    assert "resuming the search" in log
    first = (searched / f"{algorithm}.1").read_text()
    assert (searched / f"{algorithm}-again.1").read_text() == first


def test_a_search_on_other_data_is_a_new_search_and_says_so(searched: Path) -> None:
    log = (searched / "other-data.2").read_text()
    before, _ = sorted((searched / "random").glob("search-*"), key=os.path.getmtime)
    assert f"not resuming the search in {before}: it has other data, other code or" in log
    first = (searched / "random.1").read_text()
    assert FINAL.search((searched / "other-data.1").read_text())
    assert (searched / "other-data.1").read_text() != first


def test_a_damaged_search_fails_with_one_line(searched: Path) -> None:
    resuming, *error = (searched / "unreadable.2").read_text().splitlines()
    (folder,) = (searched / "unreadable").glob("search-*")
    assert resuming == f"resuming the search in {folder}"
    assert error == [
        f"error: cannot resume the search in {folder}, which is damaged (No module named "
        "'no_such_module'); remove it, or use another --checkpoint-dir or --storage to start a new "
        "search"
    ]


def test_every_worker_process_belongs_to_the_search(searched: Path) -> None:
    jobs = {name.split("-")[2] for name in (searched / "workers").read_text().split()}
    assert jobs == {"01000000"}, "Ray started no process for another driver"


def test_a_search_without_a_successful_trial_fails_with_one_line(searched: Path) -> None:
    log = (searched / "diverging.2").read_text()
    assert "Traceback" not in log
    assert log.splitlines()[-1] == (
        "error: none of 1 trials succeeded: "
        "every trial that reported diverged; lower lr or set gradient-clip"
    )


def test_a_search_ends_after_its_minutes_with_the_best_so_far(searched: Path) -> None:
    reached = objectives(searched / "minutes" / "model")
    assert 0 < len(reached) < MANY
    assert final_objective(searched / "minutes") == pytest.approx(max(reached))


def test_minutes_that_end_before_any_result_are_named_in_one_line(searched: Path) -> None:
    *progress, error = (searched / "too-short.2").read_text().splitlines()
    assert re.fullmatch(
        r"error: none of \d trials succeeded: the 0.0001 minutes ended before any trial reported; "
        "raise --minutes",
        error,
    )
    assert all(re.fullmatch(r"\d/4 trials ended", line) for line in progress), progress


def test_a_search_ends_at_its_target_with_the_model_that_reached_it(searched: Path) -> None:
    reached = objectives(searched / "target" / "model")
    assert max(reached) >= 0.5
    assert 0 < len(reached) < TRIALS
    assert "1/4 trials ended" in (searched / "target.2").read_text()
    assert final_objective(searched / "target") == pytest.approx(max(reached))


@pytest.mark.parametrize("algorithm", ["optuna", "hyperopt"])
def test_as_many_trials_start_at_once_as_fit(algorithm: str, searched: Path) -> None:
    """Each of them waits, before its first step, until all of them have started."""
    assert (searched / f"{algorithm}-together").read_text() == "[0.5, 0.5, 0.5]"
