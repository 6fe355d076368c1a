"""Run one-second trials of an unmodified script on 2 CPUs, under Ray and as tuning jobs.

    python -m benchmarks ray_trials

Prints wall times over the ideal, half a second per trial, which counts no start of any process. The
tuning job runs on the embedded cloud's engine, two training jobs at a time, as each lane of
`independent` does. HPOQ_RAY_TRIALS sets the number of trials (500).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks import engine_alone
from benchmarks.measure import Measure, at_most, print_table, shown

NAME = "ray trials"
ROOT = Path(__file__).parents[1]
TRIALS = int(os.environ.get("HPOQ_RAY_TRIALS", "500"))
KILLED = "200"  # trials of a search that is killed
SCRIPT = """
import time
time.sleep(1)
print("accuracy=0.5 loss=0.5")
"""
TESTS = (
    "tests/training_runs/test_ray_script_hosts.py",
    "tests/unit/hpoq/campaign/backends/test_ray_jobs.py",
)


def results() -> Iterable[Measure]:
    """Yield both wall times, and whether killed searches count every trial once."""
    ideal = TRIALS / 2
    with tempfile.TemporaryDirectory() as scratch:
        ours = under_ray(Path(scratch))
    yield at_most(NAME, f"ray: wall of {TRIALS:,} one-second trials over ideal", ours / ideal, 1.3)
    with tempfile.TemporaryDirectory() as scratch:
        theirs = as_tuning_job(Path(scratch))
    yield shown(
        NAME, f"independent: wall of {TRIALS:,} one-second trials over ideal", theirs / ideal
    )
    yield from killing()


def under_ray(folder: Path) -> float:
    """Return the seconds of a search of all trials in one training job."""
    (folder / "own.py").write_text(SCRIPT)
    command = [
        sys.executable, str(ROOT / "training" / "train_ray_script.py"), "--source", str(folder),
        "--script", "own.py", "--trials", str(TRIALS), "--cpus", "2", "--scheduler", "none",
        "--space", json.dumps({"lr": {"type": "continuous", "min": 0, "max": 1}}),
        "--metrics", json.dumps({"accuracy": "accuracy=([0-9.]+)"}), "--objective", "accuracy",
        "--model-dir", str(folder / "model"), "--progress-seconds", "60",
    ]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    rows = (folder / "model" / "trials.jsonl").read_text().splitlines()[1:]
    if len({json.loads(row)["number"] for row in rows}) != TRIALS or len(rows) != TRIALS:
        raise RuntimeError(f"{len(rows)} rows of {TRIALS} trials")
    return seconds


def as_tuning_job(home: Path) -> float:
    """Return the seconds of a tuning job of all trials, two at a time."""
    with engine_alone.engine(SCRIPT, home, 2) as endpoint:
        seconds = engine_alone.tune(endpoint, "trials", TRIALS, 2)
        ended = engine_alone.ask(
            endpoint, "DescribeHyperParameterTuningJob", HyperParameterTuningJobName="trials"
        )
    completed = ended["TrainingJobStatusCounters"]["Completed"]
    if completed != TRIALS:
        raise RuntimeError(f"{completed} of {TRIALS} trials completed")
    return seconds


def killing() -> Iterable[Measure]:
    """Kill the search, a host and the runner of searches of 200 trials."""
    environment = {**os.environ, "HPOQ_RAY_TRIALS": KILLED}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", "killed or lost", *TESTS]
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False)
    yield Measure(
        benchmark=NAME, measure=f"kill -9 of search, host and runner, {KILLED} trials each",
        value=time.perf_counter() - began, unit="s", goal="every trial once, results exact",
        holds=ended.returncode == 0,
    )  # fmt: skip


if __name__ == "__main__":
    print_table(results())
