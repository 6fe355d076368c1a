"""Tests of searches of any script on Ray: killed ones resume, and no trial counts twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

SCRIPT = """
import argparse, os, time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
args = parser.parse_args()
with Path(__file__).with_name("log").open("a") as log:
    print(args.lr, file=log)
time.sleep(0.05)
print(f"accuracy={1 - args.lr ** 2:.6f}")
Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(str(args.lr))
"""
TRIALS = 30


def command(folder: Path, **options: object) -> list[str]:
    given: dict[str, object] = {
        "source": folder, "script": "own.py", "trials": TRIALS, "cpus": 2,
        "space": json.dumps({"lr": {"type": "continuous", "min": 0, "max": 1}}),
        "metrics": json.dumps({"accuracy": "accuracy=([0-9.]+)"}), "objective": "accuracy",
        "scheduler": "none", "progress-seconds": 0, "model-dir": folder / "model",
    } | options  # fmt: skip
    flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    return [sys.executable, str(ROOT / "training" / "train_ray_script.py"), *flags]


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "model-search" / "trials.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "own.py").write_text(SCRIPT)
    yield tmp_path


@pytest.mark.timeout(180)
def test_a_killed_search_resumes_with_every_trial_once_and_the_same_results(folder: Path) -> None:
    with subprocess.Popen(command(folder), stderr=subprocess.PIPE, text=True) as killed:
        assert killed.stderr is not None
        for line in killed.stderr:
            if line.startswith(f"5/{TRIALS} trials ended"):
                break
        for each in [killed, *psutil.Process(killed.pid).children(recursive=True)]:
            each.kill()
    before = rows(folder)
    assert 5 <= len(before) < TRIALS

    ended = subprocess.run(command(folder), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"resuming after {len(before)} trials" in ended.stderr
    found = rows(folder)
    assert found[: len(before)] == before
    assert sorted(row["number"] for row in found) == list(range(1, TRIALS + 1))
    assert {row["status"] for row in found} == {"Completed"}
    best = max(found, key=lambda row: float(row["objective"]))
    assert (folder / "model" / "model.txt").read_text() == best["hyperparameters"]["lr"]
    assert ended.stdout.splitlines()[-1] == f"accuracy={best['objective']:.6f}"
    # the killed search ran at most one more trial per CPU than it recorded
    assert TRIALS <= len((folder / "log").read_text().splitlines()) <= TRIALS + 2


@pytest.mark.timeout(180)
def test_a_search_whose_driver_is_killed_continues_by_itself(folder: Path) -> None:
    with subprocess.Popen(
        command(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith(f"5/{TRIALS} trials ended"):
                break
        (driver,) = psutil.Process(running.pid).children()
        driver.kill()
        out, err = running.communicate(timeout=150)
    assert running.returncode == 0, err
    assert "the search was killed and continues" in err
    found = rows(folder)
    assert sorted(row["number"] for row in found) == list(range(1, TRIALS + 1))
    best = max(float(row["objective"]) for row in found)
    assert out.splitlines()[-1] == f"accuracy={best:.6f}"


@pytest.mark.timeout(180)
def test_optuna_keeps_all_cpus_busy_and_starts_from_the_given_points(folder: Path) -> None:
    points = json.dumps([{"lr": 0.001}])
    ended = subprocess.run(
        command(folder, algorithm="optuna", points=points, trials=12, target=2),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = rows(folder)
    assert {row["number"]: row for row in found}[1]["hyperparameters"] == {"lr": "0.001"}
    overlapping = [
        one for one in found for other in found
        if one["started"] < other["started"] < one["ended"]
    ]  # fmt: skip
    assert len(overlapping) > len(found) / 3, "two trials at a time"


@pytest.mark.timeout(180)
def test_a_killed_worker_is_one_line_and_its_trial_runs_again(folder: Path) -> None:
    killing = "import signal\nif not Path(__file__).with_name('lost').exists():\n"
    killing += "    Path(__file__).with_name('lost').touch()\n"
    killing += "    os.kill(os.getppid(), signal.SIGKILL)\n    signal.pause()\n"
    (folder / "own.py").write_text(SCRIPT.replace("parser =", f"{killing}parser =", 1))
    ended = subprocess.run(
        command(folder, trials=4, cpus=1), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "trial 1 lost its process and runs again" in ended.stderr.splitlines()
    assert len(ended.stderr.splitlines()) < 15, ended.stderr
    found = rows(folder)
    assert sorted(row["number"] for row in found) == [1, 2, 3, 4]
    assert {row["status"] for row in found} == {"Completed"}
    assert ended.stdout == f"accuracy={max(row['objective'] for row in found):.6f}\n"


FUNCTION = """
import argparse, os, time
from pathlib import Path

LOADED = Path(__file__).with_name("loaded")
with LOADED.open("a") as file:
    print(os.getpid(), file=file)

def main(argv):
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float)
    lr = parser.parse_args(argv).lr
    if lr < 0.02:
        os._exit(9) if not Path(__file__).with_name("lost").exists() else None
    for step in range(3):
        print(f"accuracy={1 - lr + step / 100:.6f} pid={os.getpid()}")
    print("device", os.environ.get("CUDA_VISIBLE_DEVICES", ""), os.environ["SM_NUM_GPUS"])
    Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(str(lr))
"""


@pytest.mark.timeout(180)
def test_a_function_is_called_in_actors_that_keep_imports_and_share_a_gpu(folder: Path) -> None:
    """Ray counts the GPUs that it is told of, so that no card is needed to share one."""
    (folder / "own.py").write_text(FUNCTION)
    metrics = {"accuracy": "accuracy=([0-9.]+)", "pid": "pid=(\\d+)", "gpu": "device 0 (1)"}
    ended = subprocess.run(
        command(
            folder, function="main", metrics=json.dumps(metrics), gpus=1,
            **{"gpus-per-trial": 0.5, "cpus-per-trial": 1},
        ),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = rows(folder)
    assert sorted(row["number"] for row in found) == list(range(1, TRIALS + 1))
    assert {row["status"] for row in found} <= {"Completed", "Failed"}
    completed = [row for row in found if row["status"] == "Completed"]
    assert {row["metrics"]["gpu"] for row in completed} == {1.0}, "all see the first GPU"
    loaded = (folder / "loaded").read_text().splitlines()
    processes = {str(int(row["metrics"]["pid"])) for row in completed}
    assert processes <= set(loaded)
    lost = ended.stderr.count("lost its process and runs again")
    assert len(loaded) <= 2 + 4 * lost + 4, "the script is loaded once per process"
    assert len(completed) > len(processes) * 3
    best = max(completed, key=lambda row: float(row["objective"]))
    assert (folder / "model" / "model.txt").read_text() == best["hyperparameters"]["lr"]


@pytest.mark.timeout(180)
def test_asha_stops_a_function_where_it_prints(folder: Path) -> None:
    (folder / "own.py").write_text(FUNCTION)
    ended = subprocess.run(
        command(folder, function="main", scheduler="asha", trials=16),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    stopped = [row for row in rows(folder) if row["status"] == "Stopped"]
    assert stopped
    assert all(row["steps"] == 1 and row["objective"] is not None for row in stopped)


def test_a_missing_function_is_one_line_before_anything_starts(folder: Path) -> None:
    ended = subprocess.run(
        command(folder, function="train"), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert (
        ended.stderr.strip().splitlines()[-1] == "error: --function train: own.py defines no train"
    )


@pytest.mark.timeout(180)
def test_points_are_tried_with_each_seed_first(folder: Path) -> None:
    space = {
        "lr": {"type": "continuous", "min": 0, "max": 1},
        "seed": {"type": "categorical", "values": [1, 2]},
    }
    (folder / "own.py").write_text(
        SCRIPT.replace('"--lr"', '"--seed"); parser.add_argument("--lr"')
    )
    ended = subprocess.run(
        command(
            folder, space=json.dumps(space), points='[{"lr": 0.25}, {"lr": 0.5}]',
            repeats='{"seed": [1, 2]}', trials=5,
        ),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    by_number = {row["number"]: row["hyperparameters"] for row in rows(folder)}
    assert [by_number[n] for n in range(1, 5)] == [
        {"lr": lr, "seed": seed} for lr in ("0.25", "0.5") for seed in ("1", "2")
    ]
