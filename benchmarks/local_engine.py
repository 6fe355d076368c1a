"""Measure how much of two cores the local tuning engine and other tools spend on training.

    python -m benchmarks local_engine

Every tool runs the same 20 trials of about 0.55 CPU seconds, two at a time. "over ideal" is the
wall time divided by half the CPU seconds that the trials measured; 1 is perfect. Two bare loops
over the same trials, without search or isolation, show the speed of the machine at that moment.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tuners
from benchmarks.engine_alone import BUCKET, RUNNING, SOURCE, ask, engine, metric, packed, tune
from benchmarks.engine_alone import tuning_job as request
from benchmarks.measure import Measure, at_least, at_most, print_table, shown
from benchmarks.tuners import PARALLEL, SCRIPT, TRIALS, Seconds
from hpo_dispatcher.contract.aws_limits import TRAINING_LOG_GROUP
from hpoq.local import cloud as clouds
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle import processes
from tests.support.engine_scene import engine_scene
from tests.support.fuzzed_requests import fuzzed

NAME = "local engine"
ROUNDS = 3
NOTHING = 1000  # no-op training jobs
NO_OP = "print('loss=1')"
STORED = 10_000
LOOKS = 30
IDLE_SECONDS = 20.0
PRINTED = 1_000_000  # lines
FUZZED = 10_000  # requests


@dataclass(frozen=True, kw_only=True)
class Round:
    """The seconds of our engine, of the bare loops and of joblib, measured in turn."""

    ours: Seconds
    ideal: float  # seconds
    loops: Seconds
    joblib: Seconds


def trials() -> Iterator[Measure]:
    """Compare the engine with its goals and with other tools."""
    rounds = [Round(**_ours(), loops=tuners.loops(), joblib=tuners.joblib()) for _ in range(ROUNDS)]

    def median(of: Callable[[Round], float]) -> float:
        return statistics.median(map(of, rounds))

    what = f"{TRIALS} trials of 0.55 s, {PARALLEL} parallel"
    warm = median(lambda r: r.ours.again / r.ideal)
    floor = median(lambda r: r.loops.again / r.ideal)
    yield at_most(NAME, f"{what}, warm: wall over ideal", warm, 1.15)
    yield shown(NAME, "two bare loops of the same: wall over ideal", floor)
    yield shown(
        NAME, "ours over two bare loops, warm", median(lambda r: r.ours.again / r.loops.again)
    )
    cold = median(lambda r: r.ours.first / r.ideal)
    yield at_most(NAME, "the same with start-up: wall over ideal", cold, 1.9)
    first = median(lambda r: r.joblib.first / r.ours.first)
    again = median(lambda r: r.joblib.again / r.ours.again)
    yield from _faster("Optuna with joblib", first, again)
    ours = Seconds(first=median(lambda r: r.ours.first), again=median(lambda r: r.ours.again))
    other = tuners.process_each()
    yield at_least(NAME, "a new python for each trial: times slower", other.again / ours.again, 4)
    for tool, run in (("Ray Tune", tuners.ray), ("Ray, reuse_actors", tuners.ray_reusing_actors)):
        other = run()
        yield from _faster(tool, other.first / ours.first, other.again / ours.again)


def _faster(tool: str, first: float, again: float) -> Iterator[Measure]:
    yield at_least(NAME, f"{tool}: times slower, with start-up", first, 1)
    yield at_least(NAME, f"{tool}: times slower, a second search", again, 1)


def _ours() -> dict[str, Any]:
    """Time the first search of a new engine, and the next search."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with engine(SCRIPT, Path(folder), PARALLEL) as endpoint:
            tune(endpoint, "first", TRIALS, PARALLEL)
            first = time.perf_counter() - began
            again = tune(endpoint, "again", TRIALS, PARALLEL)
            ideal = sum(metric(endpoint, "again", "cpu")) / PARALLEL
    return {"ours": Seconds(first=first, again=again), "ideal": ideal}


def many() -> Iterator[Measure]:
    """Time and weigh a thousand training jobs that do nothing."""
    with tempfile.TemporaryDirectory() as folder, engine(NO_OP, Path(folder), PARALLEL) as ours:
        tune(ours, "warm-up", PARALLEL, PARALLEL)
        hundred = tune(ours, "hundred", NOTHING // 10, PARALLEL)
        before = _memory()
        thousand = tune(ours, "thousand", NOTHING, PARALLEL)
        grown = _memory() - before
    each = hundred / (NOTHING // 10) * 1000
    yield at_most(NAME, "overhead of a training job that does nothing", each, 50, "ms")
    growth = thousand / hundred / 10
    yield at_most(NAME, "1,000 training jobs: time for each, over that of 100", growth, 1.3)
    yield at_most(NAME, "1,000 training jobs: more memory", grown, 20, "MB")


def _memory() -> float:
    """Return the peak memory of this process, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


CALLS: dict[str, dict[str, Any]] = {
    "DescribeHyperParameterTuningJob": {"HyperParameterTuningJobName": "job-05000"},
    "DescribeTrainingJob": {"TrainingJobName": "trial-05000"},
    "ListHyperParameterTuningJobs": {"MaxResults": 100, "StatusEquals": "Completed"},
    "ListTrainingJobs": {"MaxResults": 100, "SortOrder": "Descending"},
    "ListTrainingJobsForHyperParameterTuningJob": {
        "HyperParameterTuningJobName": "first", "MaxResults": 100
    },
}  # fmt: skip


def stored() -> Iterator[Measure]:
    """Time Describe and List operations with ten thousand stored jobs."""
    with tempfile.TemporaryDirectory() as folder, engine(NO_OP, Path(folder), PARALLEL) as ours:
        tune(ours, "first", PARALLEL, PARALLEL)
        store = ours._engine.store
        job, training_job = store.tuning_jobs.all()[0], store.training_jobs.all()[0]
        for number in range(STORED):
            store.tuning_jobs.add(job | {"HyperParameterTuningJobName": f"job-{number:05}"})
            store.training_jobs.add(training_job | {"TrainingJobName": f"trial-{number:05}"})
        for operation, fields in CALLS.items():
            seconds = []
            for _ in range(LOOKS):
                began = time.perf_counter()
                ask(ours, operation, **fields)
                seconds.append(time.perf_counter() - began)
            p50 = statistics.median(seconds) * 1000
            yield at_most(NAME, f"{operation} of {STORED:,}, p50", p50, 20, "ms")


def idle() -> Iterator[Measure]:
    """Measure the start-up time and the idle CPU use of the whole embedded cloud."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with clouds.start(Path(folder) / ".hpoq") as cloud:
            yield at_most(NAME, "embedded cloud up", time.perf_counter() - began, 3, "s")
            _train_once(cloud)  # starts the warm parent process, which keeps running
            before = _cpu(cloud)
            time.sleep(IDLE_SECONDS)
            share = (_cpu(cloud) - before) / IDLE_SECONDS
            yield at_most(NAME, "embedded cloud idle: share of a core", share * 100, 1, "%")


def _train_once(cloud: Cloud) -> None:
    s3, sagemaker = cloud.session().client("s3"), cloud.session().client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=SOURCE, Body=packed(NO_OP))
    job = request("once", PARALLEL, PARALLEL)
    job["TrainingJobDefinition"]["RoleArn"] = _role(cloud)
    sagemaker.create_hyper_parameter_tuning_job(**job)

    def ended() -> bool:
        job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="once")
        return job["HyperParameterTuningJobStatus"] not in RUNNING

    assert processes.wait_until(ended, 60)


def _cpu(cloud: Cloud) -> float:
    """Return the CPU seconds that all processes of the cloud have used."""
    return sum(map(_cpu_of, processes.marked(cloud.running.mark)))


def _cpu_of(pid: int) -> float:
    listed = ["ps", "-o", "cputimes=", "-p", str(pid)]
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return float(subprocess.run(listed, capture_output=True, text=True, check=True).stdout)
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def flood() -> Iterator[Measure]:
    """Time a training job that prints a million lines, weigh the cloud, and restart it."""
    script = f"for number in range({PRINTED}):\n    print('line', number)\nprint('loss=1')\n"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-u", "-c", script], stdout=subprocess.DEVNULL, check=True)
    bare = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / ".hpoq"
        with clouds.start(home) as cloud:
            took = _printed(cloud, script)
            yield at_most(NAME, f"{PRINTED:,} lines: more than the script", took - bare, 30, "s")
            yield at_most(NAME, f"{PRINTED:,} lines: memory of the cloud", _peak(cloud), 400, "MB")
        began = time.perf_counter()
        with clouds.start(home) as cloud:
            yield at_most(NAME, "up after it", time.perf_counter() - began, 5, "s")
            logs = cloud.session().client("logs")
            (stream,) = logs.describe_log_streams(logGroupName=TRAINING_LOG_GROUP)["logStreams"]
            kept = stream["storedBytes"]
            least = len("line 0") * PRINTED
            yield at_least(NAME, "characters of the log that are kept", kept, least)


def _printed(cloud: Cloud, script: str) -> float:
    """Run a script as the only training job of a tuning job, and return the seconds it took."""
    s3 = cloud.session().client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=SOURCE, Body=packed(script))
    job = request("flood", 1, 1)
    job["TrainingJobDefinition"]["RoleArn"] = _role(cloud)
    sagemaker = cloud.session().client("sagemaker")
    began = time.perf_counter()
    sagemaker.create_hyper_parameter_tuning_job(**job)

    def ended() -> bool:
        found = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="flood")
        return found["HyperParameterTuningJobStatus"] not in RUNNING

    assert processes.wait_until(ended, 600)
    return time.perf_counter() - began


def _role(cloud: Cloud) -> str:
    """Create a role that training jobs may have, and return its ARN."""
    iam = cloud.session().client("iam")
    principal = {"Service": "sagemaker.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    access = {"Effect": "Allow", "Action": ["s3:*", "logs:*"], "Resource": "*"}
    role = iam.create_role(RoleName="training", AssumeRolePolicyDocument=_policy(trust))
    iam.put_role_policy(RoleName="training", PolicyName="all", PolicyDocument=_policy(access))
    return str(role["Role"]["Arn"])


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _peak(cloud: Cloud) -> float:
    """Return the peak memory of the cloud's process, in MB."""
    status = Path(f"/proc/{cloud.running.pid}/status").read_text()
    (line,) = (each for each in status.splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / (1 << 10)


def fuzzing() -> Iterator[Measure]:
    """Send requests with unusual values, restart now and then, and count what does not end."""
    generator = random.Random(1)
    failed = stuck = accepted = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        engine_scene(Path(folder), patch) as scene,
    ):
        for number in range(FUZZED):
            operation, body = fuzzed(f"job-{number}", generator.choice)
            status, _ = scene.send(operation, body)
            failed += status == 500
            accepted += status == 200
            if number % 10 == 0:
                scene.restart()
            if not scene.all_end(0.3):
                scene.stop_all()
                stuck += not scene.all_end(30)
    yield at_most(NAME, f"{FUZZED:,} unusual requests: jobs that do not end", stuck, 0)
    restarts, failed_starts = FUZZED // 10, scene.failed_starts
    yield at_most(NAME, f"{restarts:,} restarts in between: failed starts", failed_starts, 0)
    yield at_most(NAME, f"{FUZZED:,} unusual requests: internal failures", failed, 0)
    yield shown(NAME, f"{FUZZED:,} unusual requests: accepted", accepted)


def results() -> Iterable[Measure]:
    """Yield all measures in about fifteen minutes, most of which Ray and unusual requests take."""
    for part in (trials, many, stored, idle, flood, fuzzing):
        yield from part()


if __name__ == "__main__":
    print_table(results())
