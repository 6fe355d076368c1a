"""A hyperparameter search by Ray Tune; its trials are `ray_tune.trial.Trial`."""

import hashlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import torch
from ray import tune
from ray.exceptions import RayActorError
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import SearchAlgorithm, Searcher

from credit_default.checkpoint import Interruption
from credit_default.container import Failure, Folders
from credit_default.data import load
from credit_default.fit import Fit
from credit_default.hyperparameters import Hyperparameters
from credit_default.run import INTERRUPTED, finish
from ray_tune.progress import Progress
from ray_tune.results import write_table
from ray_tune.space import Space, domain, extremes
from ray_tune.trial import METRIC, PRECISION, Trial, device_of

MODE = "max"
_EPOCHS = Hyperparameters.epochs


@dataclass(frozen=True, kw_only=True)
class Search:
    """What to search, and how.

    Attributes:
        algorithm: random, optuna or hyperopt.
        scheduler: asha, or none, which trains every trial to its end.
        grace_epochs: that ASHA gives every trial; after them, and again each time a trial has
            come reduction_factor times as far, one trial in reduction_factor goes on.
        checkpoint_epochs: between a trial's checkpoints; 0 begins an interrupted trial anew.
        storage: folder or URI that all hosts reach.
    """

    space: Space
    fixed: Mapping[str, Any]
    trials: int = 40
    parallel: int = 0  # as many as there are resources for
    algorithm: str = "random"
    scheduler: str = "asha"
    grace_epochs: int = 1
    reduction_factor: int = 4
    checkpoint_epochs: int = 0
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    failures: int = 3
    progress_seconds: float = 5.0
    seed: int = 0
    storage: str = ""

    @property
    def name(self) -> str:
        """One for each search: a folder with the state of another is never gone on with."""
        what = [self.space, self.fixed, self.trials, self.algorithm, self.scheduler, self.seed]
        what += [self.rungs]
        digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode())
        return f"search-{digest.hexdigest()[:8]}"

    @property
    def epochs(self) -> int:
        """Of the longest trial."""
        searched = extremes(self.space["epochs"]) if "epochs" in self.space else []
        return max(int(each) for each in searched or [self.fixed.get("epochs", _EPOCHS)])

    @property
    def rungs(self) -> list[int]:
        """Epochs after which ASHA looks at a trial; between them it need not hear of it."""
        if self.scheduler == "none":
            return []
        rungs = (self.grace_epochs * self.reduction_factor**rung for rung in count())
        return list(takewhile(lambda epoch: epoch < self.epochs, rungs))


def search(wanted: Search, folders: Folders) -> None:
    """Run, or go on with, the search; write its table and its best model.

    Raises:
        Failure: there is no model to write.
        SystemExit: SIGTERM came; the search can be resumed, the best so far is written.
    """
    train, validation, test = (load(each) for each in folders.parts)
    trainable = tune.with_resources(
        tune.with_parameters(
            Trial,
            train=train,
            validation=validation,
            rungs=wanted.rungs,
            checkpoint_epochs=wanted.checkpoint_epochs,
            gpu=wanted.gpus_per_trial > 0,
        ),
        {"cpu": wanted.cpus_per_trial, "gpu": wanted.gpus_per_trial},
    )
    place = f"{wanted.storage}/{wanted.name}"
    if tune.Tuner.can_restore(place):
        print(f"resuming the search in {place}", file=sys.stderr)
        tuner = tune.Tuner.restore(place, trainable=trainable, restart_errored=True)
    else:
        tuner = _tuner(wanted, trainable)
    # It misses the per-trial files that ray_tune.node has switched off, once for each trial.
    logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
    with _ended_by_sigterm() as interruption:
        results = tuner.fit()
        if wanted.failures and not interruption() and _lost_with_a_host(results):
            print("trying again what was lost with a host", file=sys.stderr, flush=True)
            results = tune.Tuner.restore(place, trainable=trainable, restart_errored=True).fit()
    write_table(results, folders.model)
    best = _best(results)
    # Training the winner again takes seconds, ends no worse than its trial did, all randomness
    # being seeded, and spares every trial from shipping its weights here.
    print(f"training the best again: {json.dumps(best.on_the_wire())}", file=sys.stderr)
    torch.set_num_threads(1)
    device = device_of(gpu=wanted.gpus_per_trial > 0)
    fit = Fit(best, train, validation, device=device, precision=PRECISION)
    for _ in fit.epochs():
        pass
    finish(fit, test, folders.model)
    if interruption():
        raise SystemExit(INTERRUPTED)


def _lost_with_a_host(results: tune.ResultGrid) -> bool:
    """Whether a trial ended for want of its actor.

    Tune forgives that while a trial runs. Where two calls to the actor fail at once, the second
    finds the trial waiting to be tried again, and ends it for good.
    """
    return any(isinstance(error, RayActorError) for error in results.errors)


@contextmanager
def _ended_by_sigterm() -> Iterator[Callable[[], bool]]:
    """Within it, SIGTERM ends Tune as Ctrl+C does: what runs is given up, the rest is saved."""
    before = signal.getsignal(signal.SIGTERM)
    interruption = Interruption(then=lambda: signal.raise_signal(signal.SIGUSR1))
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGTERM, before)


def _best(results: tune.ResultGrid) -> Hyperparameters:
    reported = [(results[n].metrics or {}).get(METRIC) for n in range(len(results))]
    if not any(reported):
        why = "all that have reported have diverged; lower lr or set gradient-clip"
        if results.errors:
            why = str(results.errors[0]).strip().splitlines()[-1]
        raise Failure(f"none of {len(reported)} trials has succeeded: {why}")
    return Hyperparameters.of(results.get_best_result(METRIC, MODE, scope="all").config or {})


def _tuner(wanted: Search, trainable: Any) -> tune.Tuner:
    space = {name: domain(each) for name, each in wanted.space.items()}
    return tune.Tuner(
        trainable,
        param_space={**space, **wanted.fixed},
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode=MODE,
            num_samples=wanted.trials,
            max_concurrent_trials=wanted.parallel or None,
            search_alg=_algorithm(wanted),
            scheduler=_scheduler(wanted),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=wanted.name,
            storage_path=wanted.storage,
            verbose=0,
            callbacks=[Progress(wanted.trials, wanted.progress_seconds)],
            failure_config=tune.FailureConfig(max_failures=wanted.failures),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    )


def _scheduler(wanted: Search) -> TrialScheduler:
    if wanted.scheduler == "none":
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    return ASHAScheduler(
        time_attr="epoch",
        max_t=wanted.epochs,
        grace_period=min(wanted.grace_epochs, wanted.epochs),
        reduction_factor=wanted.reduction_factor,
    )


def _algorithm(wanted: Search) -> Searcher | SearchAlgorithm:
    if wanted.algorithm == "optuna":
        from optuna.samplers import TPESampler
        from ray.tune.search.optuna import OptunaSearch

        return OptunaSearch(sampler=TPESampler(seed=wanted.seed, multivariate=True))
    if wanted.algorithm == "hyperopt":
        from ray.tune.search.hyperopt import HyperOptSearch

        return HyperOptSearch(random_state_seed=wanted.seed)
    from ray.tune.search.basic_variant import BasicVariantGenerator

    return BasicVariantGenerator(random_state=wanted.seed)
