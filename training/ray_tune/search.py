"""A hyperparameter search by Ray Tune, whose trials are `ray_tune.trial.CreditTrainable`."""

import hashlib
import json
import logging
import math
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.actor import ActorHandle
from ray.exceptions import RayActorError
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import SearchAlgorithm, Searcher

from credit_default.checkpoint import Damaged, Interruption
from credit_default.container import Folders, TrainingFailed
from credit_default.dataset.parts import Part, load
from credit_default.files import write_atomically
from credit_default.fit import Fit
from credit_default.hyperparameters import Hyperparameters
from credit_default.identity import code_digest, digest_of
from credit_default.model import FILE, Classifier
from credit_default.run import INTERRUPTED, finish
from ray_tune.best_model import BestModel, start_best_model
from ray_tune.progress import SearchProgress
from ray_tune.results import write_table
from ray_tune.space import Space, domain, extremes
from ray_tune.storage import filesystem_of, is_saved, saved_searches
from ray_tune.trial import METRIC, PRECISION, CreditTrainable, device_of

MODE = "max"
_EPOCHS = Hyperparameters.epochs
PACKAGE = Path(__file__).parent
OTHER = "it has other data, other code or another version of Ray"
# https://docs.python.org/3/library/pickle.html#pickle.UnpicklingError lists the first five.
_UNREADABLE = (
    pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, KeyError, TypeError,
    ValueError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """The space of a search, its trials, and how to run them.

    Attributes:
        space: ranges of the searched hyperparameters.
        fixed: values of other hyperparameters, the same for all trials.
        trials: number of trials.
        parallel: trials at once; 0 runs as many as the cluster has resources for.
        algorithm: random, optuna or hyperopt.
        scheduler: asha, or none, which trains every trial to its end.
        grace_epochs: epochs before ASHA first stops trials. ASHA then continues one trial in
            reduction_factor, and again each time the epochs have grown by that factor.
        checkpoint_epochs: epochs between a trial's checkpoints; 0 restarts an interrupted trial.
        failures: retries of a trial that fails.
        progress_seconds: seconds between progress lines.
        seed: random seed of the search algorithm.
        minutes: after which the search ends; 0 for no limit.
        target: a metric at which the search ends; None for no target.
        storage: folder or URI that all hosts can reach.
    """

    space: Space
    fixed: Mapping[str, Any]
    trials: int = 40
    parallel: int = 0
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
    minutes: float = 0.0
    target: float | None = None
    storage: str = ""

    @property
    def name(self) -> str:
        """The start of its folder's name; a search with other settings has another one."""
        what = [self.space, self.fixed, self.trials, self.algorithm, self.scheduler, self.seed]
        # A saved search keeps its own limits, so that one with others would end as it did.
        what += [self.rungs, self.minutes, self.target]
        digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode())
        return f"search-{digest.hexdigest()[:8]}"

    @property
    def epochs(self) -> int:
        """The epochs of the longest trial."""
        searched = extremes(self.space["epochs"]) if "epochs" in self.space else []
        return max(int(each) for each in searched or [self.fixed.get("epochs", _EPOCHS)])

    @property
    def rungs(self) -> list[int]:
        """The epochs after which ASHA may stop a trial."""
        if self.scheduler == "none":
            return []
        rungs = (self.grace_epochs * self.reduction_factor**rung for rung in count())
        return list(takewhile(lambda epoch: epoch < self.epochs, rungs))


def run_search(settings: SearchSettings, folders: Folders) -> None:
    """Start or resume the search, then write its table and its best model.

    Raises:
        TrainingFailed: no trial succeeded, or the saved search cannot be read.
        SystemExit: SIGTERM was received; the best model so far is written, and the search can be
            resumed.
    """
    train, validation, test = (load(each) for each in folders.parts)
    name = name_of(settings, train, validation)
    best_model = _best_model(name, folders)
    trainable = tune.with_resources(
        tune.with_parameters(
            CreditTrainable,
            train=train,
            validation=validation,
            rungs=settings.rungs,
            checkpoint_epochs=settings.checkpoint_epochs,
            gpu=settings.gpus_per_trial > 0,
            best_model=best_model,
        ),
        {"cpu": settings.cpus_per_trial, "gpu": settings.gpus_per_trial},
    )
    # It would warn once per trial about files that ray_tune.node switches off.
    logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
    folder = f"{settings.storage}/{name}"
    if is_saved(folder):
        print(f"resuming the search in {folder}", file=sys.stderr)
        tuner = _restored(folder, trainable)
    else:
        for other in saved_searches(settings.storage, settings.name):
            before = f"{settings.storage}/{other}"
            print(f"not resuming the search in {before}: {OTHER}", file=sys.stderr)
        tuner = tuner_of(settings, name, trainable)

    with _interrupted_by_sigterm() as interruption:
        results = tuner.fit()
        if settings.failures and not interruption() and lost_an_actor(results):
            print("retrying trials that were lost with their host", file=sys.stderr, flush=True)
            results = _restored(folder, trainable).fit()
    ray.get(best_model.close.remote())
    write_table(results, folders.model)
    if interruption() and not any(_reported(results)):
        raise SystemExit(INTERRUPTED)
    best, epochs = best_of(results, settings.minutes)
    # Training the best set again takes no longer than its trial and, with the same seeds, gives the
    # same model. Otherwise every trial would have to send its weights to this host.
    print(f"training the best set again: {json.dumps(best.to_strings())}", file=sys.stderr)
    torch.set_num_threads(1)
    device = device_of(gpu=settings.gpus_per_trial > 0)
    fit = Fit(best, train, validation, device=device, precision=PRECISION)
    for _ in islice(fit.epochs(), epochs):
        pass
    finish(fit, test, folders.model)
    if interruption():
        raise SystemExit(INTERRUPTED)


def name_of(settings: SearchSettings, train: Part, validation: Part) -> str:
    """Return the folder of a search's state, which no other search shares.

    A search resumes only with the same settings, data, code and version of Ray.
    """
    state = [code_digest(PACKAGE), ray.__version__, train.digest, validation.digest]
    return f"{settings.name}-{digest_of(each.encode() for each in state)[:8]}"


def _best_model(name: str, folders: Folders) -> ActorHandle[BestModel]:
    """Start the writer of the best model, with the model of an interrupted search if there is one.

    After an interruption, SageMaker restores the checkpoint folder but not the model folder.
    """
    paths, metric = [folders.model / FILE], -math.inf
    if folders.checkpoints:
        kept = folders.checkpoints / name / FILE
        paths.append(kept)
        if kept.is_file():
            try:
                metric = Classifier.about(kept.parent)["validation"]["auc"]
                write_atomically(folders.model / FILE, kept.read_bytes())
            except Damaged as error:
                print(f"searching for the best model again: {error}", file=sys.stderr)
    return start_best_model(paths, metric)


def _restored(folder: str, trainable: Any) -> tune.Tuner:
    """Return the saved search.

    Raises:
        TrainingFailed: the saved search is damaged.
    """
    try:
        return tune.Tuner.restore(
            folder,
            trainable=trainable,
            restart_errored=True,
            storage_filesystem=filesystem_of(folder),
        )
    except _UNREADABLE as error:
        reason = [*str(error).strip().splitlines(), type(error).__name__][0]
        raise TrainingFailed(
            f"cannot resume the search in {folder}, which is damaged ({reason}); remove it, or use "
            "another --checkpoint-dir or --storage to start a new search"
        ) from None


def lost_an_actor(results: tune.ResultGrid) -> bool:
    """Return whether a trial failed because its actor was lost.

    Tune retries such a trial while it runs. If two calls to the actor fail at once, the second
    failure meets a trial that already waits for its retry, and ends it.
    """
    return any(isinstance(error, RayActorError) for error in results.errors)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[Callable[[], bool]]:
    """In this block, SIGTERM ends Tune as Ctrl+C does: it stops all trials and saves its state."""
    before = signal.getsignal(signal.SIGTERM)
    interruption = Interruption(on_signal=lambda: signal.raise_signal(signal.SIGUSR1))
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGTERM, before)


def best_of(results: tune.ResultGrid, minutes: float) -> tuple[Hyperparameters, int]:
    """Return the hyperparameters of the best trial, and the epochs that it trained.

    Raises:
        TrainingFailed: no trial succeeded.
    """
    reported = _reported(results)
    if not any(reported):
        reason = "every trial that reported diverged; lower lr or set gradient-clip"
        if results.errors:
            reason = str(results.errors[0]).strip().splitlines()[-1]
        elif minutes and all(each is None for each in reported):
            reason = f"the {minutes:g} minutes ended before any trial reported; raise --minutes"
        raise TrainingFailed(f"none of {len(reported)} trials succeeded: {reason}")
    best = results.get_best_result(METRIC, MODE, scope="last")
    return Hyperparameters.parse(best.config or {}), int((best.metrics or {})["epoch"])


def _reported(results: tune.ResultGrid) -> list[float | None]:
    """Return the last metric of each trial; None for a trial that reported none."""
    return [(results[n].metrics or {}).get(METRIC) for n in range(len(results))]


def tuner_of(settings: SearchSettings, name: str, trainable: Any) -> tune.Tuner:
    """Return a new search, which is saved in the folder of this name."""
    space = {name: domain(each) for name, each in settings.space.items()}
    return tune.Tuner(
        trainable,
        param_space={**space, **settings.fixed},
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode=MODE,
            num_samples=settings.trials,
            max_concurrent_trials=settings.parallel or _fitting_trials(settings),
            time_budget_s=settings.minutes * 60 or None,
            search_alg=_algorithm(settings),
            scheduler=scheduler_of(settings),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=settings.storage,
            storage_filesystem=filesystem_of(settings.storage),
            verbose=0,
            stop=None if settings.target is None else TargetReached(settings.target),
            callbacks=[SearchProgress(settings.trials, settings.progress_seconds)],
            failure_config=tune.FailureConfig(max_failures=settings.failures),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    )


def _fitting_trials(settings: SearchSettings) -> int | None:
    """Return how many trials fit into the cluster; None for a random search, which needs no limit.

    Without one, Tune starts the trials of Optuna and HyperOpt one after the other.
    """
    if settings.algorithm == "random":
        return None
    found = ray.cluster_resources()  # type: ignore[no-untyped-call]
    fit = [found.get("CPU", 1) / settings.cpus_per_trial]
    if settings.gpus_per_trial:
        fit.append(found.get("GPU", 0) / settings.gpus_per_trial)
    return max(1, int(min(fit)))


class TargetReached(tune.Stopper):
    """Ends the search once a trial has reached a metric."""

    def __init__(self, target: float) -> None:
        self.target, self.reached = target, False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Record a result and return whether to stop its trial."""
        self.reached = self.reached or result.get(METRIC, -math.inf) >= self.target
        return self.reached

    def stop_all(self) -> bool:
        """Return whether to stop all trials."""
        return self.reached


def scheduler_of(settings: SearchSettings) -> TrialScheduler:
    """Return the scheduler that the settings select."""
    if settings.scheduler == "none":
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    return ASHAScheduler(
        time_attr="epoch",
        max_t=settings.epochs,
        grace_period=min(settings.grace_epochs, settings.epochs),
        reduction_factor=settings.reduction_factor,
    )


def _algorithm(settings: SearchSettings) -> Searcher | SearchAlgorithm:
    if settings.algorithm == "optuna":
        from optuna.logging import WARNING, set_verbosity
        from optuna.samplers import TPESampler
        from ray.tune.search.optuna import OptunaSearch

        set_verbosity(WARNING)  # it would say that its study is in memory; Ray saves it
        return OptunaSearch(sampler=TPESampler(seed=settings.seed, multivariate=True))
    if settings.algorithm == "hyperopt":
        from ray.tune.search.hyperopt import HyperOptSearch

        return HyperOptSearch(random_state_seed=settings.seed)
    from ray.tune.search.basic_variant import BasicVariantGenerator

    return BasicVariantGenerator(random_state=settings.seed)
