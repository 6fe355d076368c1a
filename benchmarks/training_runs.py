"""The runs that benchmarks/training.py measures in new processes.

    python -m benchmarks.training_runs RUN [ARGUMENTS]

Prints one JSON object as the last line.
"""

from __future__ import annotations

import json
import os
import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TRAINING = Path(__file__).parents[1] / "training"
sys.path.insert(0, str(TRAINING))

EPOCHS_OF_SAMPLE = 10
ALONE = 5  # trials timed without Ray
PLAIN_TRIALS = 12


def first_step(script: str, *arguments: str) -> dict[str, Any]:
    """Run a training script up to the end of its first optimizer step."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    register_optimizer_step_post_hook(lambda *_: os._exit(0))
    sys.argv = [script, *arguments]
    runpy.run_path(str(TRAINING / script), run_name="__main__")
    raise RuntimeError("the script took no optimizer step")


def bare_step() -> dict[str, Any]:
    """Import torch and take one step of one optimizer."""
    import torch

    weight = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.AdamW([weight], fused=True)
    weight.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    os._exit(0)


def defaults(*arguments: str) -> dict[str, Any]:
    """Run train_cpu.py and return its CPU seconds without its imports."""
    import torch._dynamo  # noqa: F401  the first optimizer of a process would import it

    import train_cpu

    began = time.process_time()
    train_cpu.main(arguments)
    return {"cpu_seconds": time.process_time() - began}


def throughput(data: str) -> dict[str, Any]:
    """Time the sample's loop and ours with the same network and batch, in one process.

    Epochs alternate, so a slow minute of the machine affects all of them.
    """
    import torch

    from benchmarks import usual_sample
    from credit_default.metrics import auc

    folder = Path(data)
    threads = torch.get_num_threads()
    usual = usual_sample.epochs(folder, EPOCHS_OF_SAMPLE)
    alike = usual_sample.epochs(folder, EPOCHS_OF_SAMPLE)
    lowered = _epochs_like_the_sample(folder, torch.bfloat16)  # as train_cpu.py does by default
    exact = _epochs_like_the_sample(folder, torch.float32)
    rounds: list[dict[str, float]] = []
    aucs, seconds = [], 0.0
    for _ in range(EPOCHS_OF_SAMPLE):
        torch.set_num_threads(threads)
        sample = next(usual)
        torch.set_num_threads(1)
        one_thread = next(alike)
        rounds.append(
            {
                "sample": sample.rows / sample.cpu_seconds,
                "sample_one_thread": one_thread.rows / one_thread.cpu_seconds,
                "ours": next(lowered),
                "ours_float32": next(exact),
            }
        )
        aucs.append(auc(sample.scores, sample.targets))
        seconds += sample.cpu_seconds
    rounds = rounds[1:]  # the first round is a warm-up
    return {
        "sample_auc": statistics.median(aucs),
        "sample_cpu_seconds": seconds,
        "ratio": statistics.median(each["ours"] / each["sample"] for each in rounds),
        **{name: statistics.median(each[name] for each in rounds) for name in rounds[0]},
    }


def _epochs_like_the_sample(folder: Path, precision: Any) -> Iterator[float]:
    """Yield the rows per CPU second of each epoch, including validation."""
    from benchmarks.usual_sample import BATCH_SIZE, HIDDEN
    from credit_default.dataset.parts import load
    from credit_default.fit import Fit
    from credit_default.hyperparameters import Hyperparameters

    chosen = Hyperparameters(
        hidden=HIDDEN,
        activation="relu",
        dropout=0.0,
        gradient_clip=0.0,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS_OF_SAMPLE,
    )
    train = load(folder / "train")
    epochs = Fit(chosen, train, load(folder / "validation"), precision=precision).epochs()
    while True:
        began = time.process_time()
        next(epochs)
        yield train.rows / (time.process_time() - began)


def ray_trials(data: str, trials: str) -> dict[str, Any]:
    """Time equal trials of train_ray_cpu.py's search on two CPUs of a started cluster."""
    from ray_tune.cluster import cluster
    from ray_tune.node import NodeSettings

    folder = Path(data)
    alone = _trial_seconds(folder)
    with cluster(NodeSettings(cpus=2)), tempfile.TemporaryDirectory() as scratch:
        ours = _wall(lambda: _search(folder, int(trials), Path(scratch)))
        plain = _wall(lambda: _plain_tune(folder, Path(scratch)))
    return {
        "trial_seconds": alone,
        "wall_over_ideal": ours / (int(trials) * alone / 2),
        "plain_wall_over_ideal": plain / (PLAIN_TRIALS * alone / 2),
    }


def _trial_seconds(folder: Path) -> float:
    """Return the seconds of one trial without Ray on one thread."""
    import torch

    from credit_default.dataset.parts import load
    from credit_default.fit import Fit
    from credit_default.hyperparameters import Hyperparameters

    torch.set_num_threads(1)
    train, validation = load(folder / "train"), load(folder / "validation")

    def trial() -> None:
        for _ in Fit(Hyperparameters(), train, validation).epochs():
            pass

    trial()
    return statistics.median(_wall(trial) for _ in range(ALONE))


def _search(folder: Path, trials: int, scratch: Path) -> None:
    from credit_default.container import Folders
    from ray_tune.search import SearchSettings, run_search

    space = {"lr": {"type": "continuous", "min": 1e-3, "max": 1e-2}}
    parts = {name: folder / name for name in ("train", "validation", "test")}
    settings = SearchSettings(
        space=space, fixed={}, trials=trials, scheduler="none", storage=str(scratch / "ours")
    )
    run_search(settings, Folders(**parts, model=scratch / "model", checkpoints=None))


def _plain_tune(folder: Path, scratch: Path) -> None:
    """Run the same trials with Tune's defaults: one actor per trial."""
    from ray import tune

    from credit_default.dataset.parts import load
    from ray_tune.trial import METRIC, CreditTrainable

    parts = {name: load(folder / name) for name in ("train", "validation")}
    tune.Tuner(
        tune.with_parameters(CreditTrainable, **parts),
        param_space={"lr": tune.uniform(1e-3, 1e-2)},
        tune_config=tune.TuneConfig(metric=METRIC, mode="max", num_samples=PLAIN_TRIALS),
        run_config=tune.RunConfig(storage_path=str(scratch / "plain"), verbose=0),
    ).fit()


def bare_loop(data: str, device_name: str, batch_size: str) -> dict[str, Any]:
    """Measure the samples per second of the default network on data already on the device."""
    import torch

    from credit_default.dataset.features import Features
    from credit_default.dataset.parts import load
    from credit_default.hyperparameters import Hyperparameters
    from credit_default.model import perceptron

    device, chosen = torch.device(device_name), Hyperparameters()
    torch.set_float32_matmul_precision("high")
    part = load(Path(data) / "train")
    (rows,) = part
    features = Features().fit(part)(rows.raw).to(device)
    target = rows.target.to(device)
    network = perceptron(chosen.hidden, chosen.activation, chosen.dropout).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    size = min(int(batch_size), len(target))
    steps = len(target) // size

    def epoch() -> None:
        order = torch.randperm(len(target), device=device)
        for batch in torch.split(order[: steps * size], size):
            with torch.autocast(device.type, dtype=torch.bfloat16):
                logit = network(features[batch]).squeeze(1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logit.float(), target[batch]
            )
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
        loss.item()  # waits for the device

    epoch()
    return {"rows_per_second": steps * size / statistics.median(_wall(epoch) for _ in range(20))}


def _wall(measured: Callable[[], object]) -> float:
    began = time.perf_counter()
    measured()
    return time.perf_counter() - began


RUNS = {
    each.__name__: each
    for each in (first_step, bare_step, defaults, throughput, ray_trials, bare_loop)
}

if __name__ == "__main__":
    print(json.dumps(RUNS[sys.argv[1]](*sys.argv[2:])))
