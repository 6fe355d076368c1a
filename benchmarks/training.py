"""Measure the training scripts on the real credit-default set, and a plain port of a usual sample.

    HPOQ_DATA=UCI_Credit_Card.csv python -m benchmarks training

Without HPOQ_DATA, downloads the set from UCI. Synthetic rows are rejected because their metrics
say nothing about the real data. Prints AUCs (0..1), seconds, and rows per CPU second.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.measure import Measure, at_least, at_most, print_table, shown

NAME = "training"
ROOT = Path(__file__).parents[1]
CSV = ROOT.parent / "shared" / "data" / "UCI_Credit_Card.csv"
SEEDS = range(8)
PAIRS = 7  # pairs of process starts
SEARCH_SEEDS = range(3)
SEARCH_TRIALS = 40
RAY_TRIALS = 200
GPU_EPOCHS = 40
METRIC = re.compile(r"([a-z]+:[a-z0-9]+)=([0-9.eE+-]+)")


def results() -> Iterable[Measure]:
    """Yield the goals of quality, CPU time, throughput, start-up and Ray's overhead."""
    with tempfile.TemporaryDirectory() as scratch:
        places = _prepared(Path(scratch))
        yield from _defaults(places)
        yield from _loop(places)
        yield from _start(places)
        yield from _search(places)
        yield from _ray(places)
        yield from _two_processes(places)
        yield from _gpu(places)


@dataclass(frozen=True)
class Places:
    """The folders of the prepared set, of an upsampled copy, and of models."""

    data: Path
    upsampled: Path
    models: Path


def _prepared(scratch: Path) -> Places:
    places = Places(scratch / "data", scratch / "upsampled", scratch / "models")
    prepare(places.data)
    prepare(places.upsampled, "--upsample")
    return places


def prepare(out: Path, *options: str) -> None:
    """Split the real set.

    Raises:
        RuntimeError: the real set is not available.
    """
    given = os.environ.get("HPOQ_DATA") or (str(CSV) if CSV.exists() else None)
    source = ["--data", given] if given else []
    command = [sys.executable, "-m", "training.prepare_data", *source, "--out", str(out), *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    if json.loads((out / "manifest.json").read_text())["kind"] == "synthetic":
        raise RuntimeError("the real set is not available; set HPOQ_DATA to the path of its CSV")


def _child(run: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a function of benchmarks/training_runs.py in a new process."""
    command = [sys.executable, "-m", "benchmarks.training_runs", run, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)


def _last_line(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return values


def _metrics(output: str) -> dict[str, float]:
    return {name: float(value) for name, value in METRIC.findall(output)}


def _folders(places: Places, data: Path | None = None) -> list[str]:
    return ["--data-dir", str(data or places.data), "--model-dir", str(places.models)]


def _defaults(places: Places) -> Iterator[Measure]:
    runs = [_child("defaults", *_folders(places), "--seed", seed) for seed in SEEDS]
    aucs = [_metrics(run.stdout)["test:auc"] for run in runs]
    yield at_least(NAME, "median test AUC of 8 seeds, CPU", statistics.median(aucs), 0.783)
    yield shown(NAME, "worst test AUC of 8 seeds, CPU", min(aucs))
    seconds = statistics.median(_last_line(run)["cpu_seconds"] for run in runs)
    yield at_most(NAME, "CPU of that run without imports", seconds, 1.0, "s")
    elsewhere = []
    for seed in SEEDS:
        prepare(places.models.parent / "split", "--seed", str(seed))
        run = _child("defaults", *_folders(places, places.models.parent / "split"))
        elsewhere.append(_metrics(run.stdout)["test:auc"])
    yield shown(NAME, "median test AUC of 8 other splits", statistics.median(elsewhere))


def _loop(places: Places) -> Iterator[Measure]:
    run = _last_line(_child("throughput", places.upsampled))
    yield shown(NAME, "usual sample: median test AUC of its 10 epochs", run["sample_auc"])
    yield shown(NAME, "usual sample: CPU of 10 epochs", run["sample_cpu_seconds"], "s")
    for name, label in (
        ("sample", "usual sample"),
        ("sample_one_thread", "usual sample, held to 1 thread"),
        ("ours", "ours, 500-250-100"),
        ("ours_float32", "ours, 500-250-100, --precision float32"),
    ):
        yield shown(NAME, f"rows per CPU second: {label}", run[name], "/s")
    yield at_least(NAME, "rows per CPU second: ours over the sample", run["ratio"], 2.5)


def _start(places: Places) -> Iterator[Measure]:
    """Time process starts in pairs: a slow minute of the machine affects both."""
    ours, bare = [], []
    for _ in range(PAIRS + 1):
        ours.append(_wall("first_step", "train_cpu.py", *_folders(places)))
        bare.append(_wall("bare_step"))
    first, least = statistics.median(ours[1:]), statistics.median(bare[1:])
    yield shown(NAME, "process start to first optimizer step", first, "s")
    yield at_most(NAME, "the same over import torch and one optimizer", first / least, 1.2)


def _wall(run: str, *arguments: object) -> float:
    began = time.perf_counter()
    _child(run, *arguments)
    return time.perf_counter() - began


def _search(places: Places) -> Iterator[Measure]:
    aucs, cpu = {}, {}
    for scheduler in ("asha", "none"):
        ended = [_searched(places, scheduler, seed) for seed in SEARCH_SEEDS]
        aucs[scheduler] = statistics.mean(_metrics(output)["test:auc"] for output, _ in ended)
        cpu[scheduler] = statistics.mean(seconds for _, seconds in ended)
    yield at_least(NAME, "40 trials with ASHA: mean test AUC of 3 seeds", aucs["asha"], 0.783)
    yield shown(NAME, "40 trials at random: mean test AUC of 3 seeds", aucs["none"])
    yield shown(NAME, "40 trials with ASHA: CPU, Ray's included", cpu["asha"], "s")
    yield shown(NAME, "40 trials at random: CPU, Ray's included", cpu["none"], "s")
    yield at_most(NAME, "CPU with ASHA over random", cpu["asha"] / cpu["none"], 0.6)


def _searched(places: Places, scheduler: str, seed: int) -> tuple[str, float]:
    """Run a search; return its output and the CPU seconds of all its processes."""
    kept = places.models.parent / f"{scheduler}-{seed}"
    command = [sys.executable, str(ROOT / "training" / "train_ray_cpu.py"), *_folders(places)]
    command += ["--trials", str(SEARCH_TRIALS), "--search-seed", str(seed)]
    command += ["--scheduler", scheduler, "--checkpoint-dir", str(kept)]
    with tempfile.TemporaryFile("w+") as output:
        started = psutil.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        seconds = _cpu_seconds_of_tree(started)
        if started.wait():
            raise RuntimeError(f"the search ended with status {started.returncode}")
        output.seek(0)
        return output.read(), seconds


def _cpu_seconds_of_tree(root: psutil.Popen) -> float:
    """Return the CPU seconds of a process and its descendants, polled until the process ends.

    Ray does not wait for its own processes, so their times do not reach the parent.
    """
    spent: dict[tuple[int, float], float] = {}
    while root.poll() is None:
        for each in [root, *_below(root)]:
            try:
                times = each.cpu_times()
                spent[each.pid, each.create_time()] = times.user + times.system
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.1)
    return sum(spent.values())


def _below(root: psutil.Popen) -> Sequence[psutil.Process]:
    try:
        return list(root.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _ray(places: Places) -> Iterator[Measure]:
    run = _last_line(_child("ray_trials", places.data, RAY_TRIALS))
    yield shown(NAME, "Ray: one trial without Ray", run["trial_seconds"], "s")
    ratio = run["wall_over_ideal"]
    yield at_most(NAME, "Ray: wall of 200 trials on 2 CPUs over ideal", ratio, 1.5)
    yield shown(NAME, "Ray's defaults: wall over ideal", run["plain_wall_over_ideal"])


def _two_processes(places: Places) -> Iterator[Measure]:
    """Compare one process with two that share the same global batch."""
    chosen = ["--device", "cpu", "--precision", "float32", "--hidden", "500-250-100"]
    one, two = (
        _epoch_seconds(
            places,
            [*chosen, "--epochs", "12", "--processes", str(count), "--batch-size", str(size)],
        )
        for count, size in ((1, 8192), (2, 4096))
    )
    yield shown(NAME, "2 gloo processes, batch 8192: speed-up", one / two)


def _epoch_seconds(places: Places, chosen: Sequence[str]) -> float:
    """Return the median time between the epoch lines of train.py."""
    command = [sys.executable, str(ROOT / "training" / "train.py"), *chosen]
    command += _folders(places, places.upsampled)
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as started,
    ):
        assert started.stdout is not None
        times = [time.perf_counter() for line in started.stdout if line.startswith("epoch=")]
        if started.wait():
            said.seek(0)
            raise RuntimeError(f"train.py ended with {started.returncode}: {said.read()}")
    return statistics.median(after - before for before, after in itertools.pairwise(times))


def _gpu(places: Places) -> Iterator[Measure]:
    import torch

    if not torch.cuda.is_available():
        print("  no GPU: skipping the comparison of train.py with a bare loop on resident data")
        return
    rows = json.loads((places.upsampled / "manifest.json").read_text())["parts"]["train"]["rows"]
    size = 4096
    chosen = ["--processes", "1", "--batch-size", str(size), "--epochs", str(GPU_EPOCHS)]
    ours = rows // size * size / _epoch_seconds(places, chosen)
    bare = _last_line(_child("bare_loop", places.upsampled, "cuda", size))["rows_per_second"]
    yield shown(NAME, "GPU: samples a second", ours, "/s")
    yield at_least(NAME, "GPU: samples a second over a bare loop", ours / bare, 0.9)
    one, two = (_loss(places, count, 4096 // count) for count in (1, 2))
    yield at_most(NAME, "GPU: loss of 2 processes on it, against 1", abs(one - two), 1e-4)


def _loss(places: Places, processes: int, size: int) -> float:
    chosen = ["--epochs", "1", "--dropout", "0", "--precision", "float32"]
    chosen += ["--processes", str(processes), "--batch-size", str(size)]
    command = [sys.executable, str(ROOT / "training" / "train.py"), *_folders(places), *chosen]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return _metrics(ended.stdout)["train:loss"]


if __name__ == "__main__":
    print_table(results())
