"""Run the same twenty trials with other tools and without any, to measure the tools' overhead.

Every tool runs two searches in one process, two trials at a time: the first includes start-up, the
second is warm. Times are wall times in seconds.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TRIALS = 20
PARALLEL = 2
WORK = '''
def work(lr):
    """A small network for about half a second of one core; returns its CPU seconds and loss."""
    import time, torch
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2048, 64, generator=generator)
    y = (x[:, :8].sum(1, keepdim=True) > 0).float()
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    began = time.process_time()
    for _ in range(500):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        optimizer.step()
    return time.process_time() - began, loss.item()
'''
SCRIPT = (
    WORK
    + """
import sys
cpu, loss = work(float(sys.argv[sys.argv.index("--lr") + 1]))
print(f"loss={loss:.6f} cpu={cpu:.6f}")
"""
)
TWICE = """
    import json, time
    first = None
    for _ in range(2):
        began = time.time()
        search()
        first = first or time.time()
    print(json.dumps({"first_ended": first, "again": time.time() - began}))
"""
# No search and no isolation: two processes, each of which runs half of the trials.
LOOPS = f"""
import os
import torch._dynamo  # torch.optim would import it in each child
torch.empty(16 << 20, dtype=torch.uint8)  # glibc then keeps what each step frees, as in ours
def search():
    children = []
    for _ in range({PARALLEL}):
        child = os.fork()
        if not child:
            for _ in range({TRIALS // PARALLEL}):
                work(0.01)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
"""
JOBLIB = f"""
import joblib, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
def search():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    asked = [study.ask() for _ in range({TRIALS})]
    lrs = [trial.suggest_float('lr', 0.001, 0.1) for trial in asked]
    found = joblib.Parallel(n_jobs={PARALLEL})(joblib.delayed(work)(lr) for lr in lrs)
    for trial, (_, loss) in zip(asked, found):
        study.tell(trial, loss)
"""
RAY = f"""
import os, ray
from ray import tune
def trial(config):
    tune.report({{'loss': work(config['lr'])[1]}})
def search():
    if not ray.is_initialized():
        ray.init(address='local', num_cpus={PARALLEL}, include_dashboard=False,
                 log_to_driver=False, logging_level='ERROR')
    tuner = tune.Tuner(trial, param_space={{'lr': tune.loguniform(0.001, 0.1)}},
        tune_config=tune.TuneConfig(num_samples={TRIALS}, reuse_actors=REUSE),
        run_config=tune.RunConfig(verbose=0, storage_path=os.path.dirname(__file__)))
    assert not tuner.fit().errors
"""


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """The seconds of a first and a second search."""

    first: float  # from the start of the program
    again: float


def loops() -> Seconds:
    """Run the trials in two bare loops."""
    return _program(LOOPS)


def joblib() -> Seconds:
    """Run the trials with Optuna's suggestions in joblib's processes."""
    return _program(JOBLIB)


def ray() -> Seconds:
    """Run the trials with Ray Tune's defaults."""
    return _program(RAY.replace("REUSE", "False"))


def ray_reusing_actors() -> Seconds:
    """Run the trials with Ray Tune and `reuse_actors`."""
    return _program(RAY.replace("REUSE", "True"))


def process_each() -> Seconds:
    """Run each trial in a new Python process; a second search takes as long as the first."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "train.py"
        script.write_text(SCRIPT)
        command = [sys.executable, str(script), "--lr", "0.01"]
        began = time.perf_counter()
        with ThreadPoolExecutor(PARALLEL) as pool:
            run = _silently(command)
            list(pool.map(lambda _: run(), range(TRIALS)))
        took = time.perf_counter() - began
    return Seconds(first=took, again=took)


def _silently(command: list[str]) -> Callable[[], object]:
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    return lambda: subprocess.run(command, check=True, capture_output=True, env=environ)


def _program(definitions: str) -> Seconds:
    with tempfile.TemporaryDirectory() as folder:
        script, token = Path(folder) / "program.py", Path(folder) / "token"
        token.write_text(secrets.token_hex(32))  # Ray requires one even on one machine
        script.write_text(f"{WORK}\n{definitions}\nif __name__ == '__main__':{TWICE}")
        environ = os.environ | {
            "RAY_worker_niceness": "0", "RAY_AIR_NEW_OUTPUT": "0", "OMP_NUM_THREADS": "1",
            "RAY_AUTH_TOKEN_PATH": str(token),
        }  # fmt: skip
        began = time.time()
        done = subprocess.run(
            [sys.executable, script], check=True, capture_output=True, env=environ, text=True
        )
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return Seconds(first=said["first_ended"] - began, again=said["again"])
