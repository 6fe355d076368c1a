"""Compare the best models that campaign strategies find with the same number of trials.

    python -m benchmarks search_quality

A surrogate replaces training: a Gaussian process fitted to real trials on the credit-default data
(credit_trials.csv, written by credit_trials.py). Each tuning job is a search of the embedded
cloud's engine; the planner and the runner supply waves, ranges and parents. Ray's search is the
training script's. No trial stops early, so `hyperband` shows its draws alone. HPOQ_QUALITY_SEEDS
sets the number of seeds (10). Prints AUCs (0..1).
"""

from __future__ import annotations

import csv
import functools
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Measure, print_table, shown
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.tuning_job.short_form import parameter_ranges
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.compare import campaign_of, compare, planned
from hpoq.campaign.planning.strategies.registry import STRATEGIES
from hpoq.campaign.results.trial import Trial
from hpoq.campaign.running.messages import message, seed_of
from hpoq.campaign.running.narrowing import narrowed

NAME = "search quality"
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))  # whose scripts import it so
TRIALS, SEEDS = 600, int(os.environ.get("HPOQ_QUALITY_SEEDS", "10"))
DATA = Path(__file__).parent / "credit_trials.csv"
REQUEST: dict[str, Any] = {
    "strategy": "Bayesian",
    "objective": {"metric": "validation:auc", "type": "Maximize"},
    "hyperparameter_ranges": {
        "lr": {"type": "continuous", "min": 1e-4, "max": 0.3, "scaling": "Logarithmic"},
        "weight_decay": {"type": "continuous", "min": 1e-5, "max": 1.0, "scaling": "Logarithmic"},
        "dropout": {"type": "continuous", "min": 0.0, "max": 0.7},
        "batch_size": {"type": "integer", "min": 64, "max": 4096, "scaling": "Logarithmic"},
        "momentum": {"type": "continuous", "min": 0.5, "max": 0.99},
        "hidden": {"type": "categorical", "values": ["16", "32", "64-32", "128-64", "256-128"]},
        "optimizer": {"type": "categorical", "values": ["adamw", "adam", "sgd"]},
    },
}
LOGARITHMIC = ("lr", "weight_decay", "batch_size")
LINEAR = ("dropout", "momentum")
Score = Callable[[Mapping[str, str]], float]


def results() -> Iterable[Measure]:
    score, error = surrogate()
    yield shown(NAME, "surrogate: held-out R2 of the real trials", error)
    reached = {strategy: run_all(strategy, score) for strategy in STRATEGIES}
    base = statistics.median(reached["independent"])
    for strategy, found in reached.items():
        yield shown(NAME, f"{strategy}: median best AUC of {SEEDS} seeds", statistics.median(found))
        yield shown(NAME, "  lowest", min(found))
        yield shown(NAME, "  highest", max(found))
    default = compare(campaign_for("independent", 0)).recommended
    yield Measure(
        benchmark=NAME, measure=f"the default ({default}), median best AUC",
        value=statistics.median(reached[default]), unit="",
        goal=f">= independent ({base:.5f})", holds=statistics.median(reached[default]) >= base,
    )  # fmt: skip
    for strategy in ("narrowing", "warm-waves", "single", "ray"):
        wins = sum(a >= b for a, b in zip(reached[strategy], reached["independent"], strict=True))
        yield shown(NAME, f"{strategy}: seeds at least as good as independent", wins)


def run_all(strategy: str, score: Score) -> list[float]:
    return [run(plan_of(strategy, seed), score) for seed in range(SEEDS)]


def campaign_for(strategy: str, seed: int) -> Campaign:
    """Return the campaign, whose request asks for Hyperband if the strategy needs it."""
    search = "Hyperband" if strategy == "hyperband" else "Bayesian"
    return campaign_of(
        name="quality", trials=TRIALS, minutes_per_trial=1, seed=seed * 1_000_003,
        request=REQUEST | {"strategy": search}, limits={"instances": 20},
    )  # fmt: skip


def plan_of(strategy: str, seed: int) -> CampaignPlan:
    return planned(campaign_for(strategy, seed), strategy)


def run(plan: CampaignPlan, score: Score) -> float:
    """Run a campaign's tuning jobs on the surrogate and return the best objective."""
    trials: dict[int, list[Trial]] = {}
    ranges = plan.campaign.template_request.hyperparameter_ranges
    for job in plan.jobs:
        if job.instances:
            trials[job.number] = ray_search(plan, job, score)
            continue
        before = [t for number, found in trials.items() for t in found
                  if plan.jobs[number - 1].wave < job.wave]  # fmt: skip
        where = ranges if job.explores else narrowed(ranges, before, maximize=True)
        parents = sorted(
            (each for each in plan.wave(job.wave - 1) if job.parents),
            key=lambda each: -max(t.objective or 0.0 for t in trials[each.number]),
        )
        request = TuningRequest.model_validate(
            message(plan, job, ranges=where) | {"warm_start_from": []}
        )
        taught = [t for each in parents[: job.parents] for t in trials[each.number]]
        trials[job.number] = search(request, job, taught, score)
    return max(t.objective or 0.0 for found in trials.values() for t in found)


def ray_search(plan: CampaignPlan, job: PlannedJob, score: Score) -> list[Trial]:
    """Run one training job's search, which learns from all its trials."""
    from script_search.record import Row
    from script_search.samplers import OptunaSampler

    ranges = plan.campaign.template_request.hyperparameter_ranges
    space = {name: each.model_dump(mode="json") for name, each in ranges.items()}
    sampler = OptunaSampler(space, seed_of(plan, job), maximize=True)
    found: list[Trial] = []
    for first in range(1, job.trials + 1, job.parallel):
        numbers = range(first, min(job.trials + 1, first + job.parallel))
        asked = {number: sampler.ask(number) for number in numbers}
        for number, values in asked.items():
            objective = score(values)
            sampler.tell(
                Row(
                    number=number, hyperparameters=values, status="Completed",
                    objective=objective, started=0.0, ended=0.0,
                )
            )  # fmt: skip
            found.append(
                Trial(
                    name=str(number), job=job.number, status="Completed", hyperparameters=values,
                    objective=objective,
                )
            )  # fmt: skip
    return found


def search(
    request: TuningRequest, job: PlannedJob, taught: Iterable[Trial], score: Score
) -> list[Trial]:
    """Run one tuning job, ``job.parallel`` trials at a time."""
    from hpoq.local.sagemaker.tuning.suggest import HyperparameterSearch

    config = {"Strategy": request.strategy}
    seed = request.overrides["HyperParameterTuningJobConfig"]["RandomSeed"]
    engine = HyperparameterSearch(
        config, parameter_ranges(request.hyperparameter_ranges), True, seed
    )
    for trial in taught:
        engine.add_result(trial.hyperparameters, trial.objective or 0.0)
    found: list[Trial] = []
    for first in range(0, job.trials, job.parallel):
        numbers = range(first, min(job.trials, first + job.parallel))
        asked = {number: engine.ask(number) for number in numbers}
        for number, values in asked.items():
            objective = score(values)
            engine.tell(number, objective)
            found.append(
                Trial(
                    name=f"{request.request_id}-{number}", job=job.number, status="Completed",
                    hyperparameters=values, objective=objective,
                )
            )  # fmt: skip
    return found


@functools.cache
def surrogate() -> tuple[Score, float]:
    """Return a function from hyperparameters to AUC, and its R2 on held-out trials."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.model_selection import cross_val_predict

    rows = list(csv.DictReader(DATA.open()))
    features = np.array([encoded(row) for row in rows])
    # AUCs near the top differ little; the logarithm of the gap to 0.8 separates them.
    target = np.array([_stretched(float(row["auc"])) for row in rows])
    kernel = ConstantKernel(1.0) * RBF(np.ones(features.shape[1])) + WhiteKernel(0.05)
    model = GaussianProcessRegressor(kernel, normalize_y=True).fit(features, target)
    fixed = GaussianProcessRegressor(model.kernel_, normalize_y=True, optimizer=None)
    unseen = cross_val_predict(fixed, features, target, cv=5)
    error = 1 - float(np.sum((unseen - target) ** 2) / np.sum((target - target.mean()) ** 2))

    def score(values: Mapping[str, str]) -> float:
        return _shrunk(float(model.predict(np.array([encoded(values)]))[0]))

    return score, error


def _stretched(auc: float) -> float:
    return -math.log(max(0.8 - auc, 1e-3))


def _shrunk(value: float) -> float:
    return 0.8 - math.exp(-value)


def encoded(values: Mapping[str, str]) -> list[float]:
    """Return hyperparameters as numbers of about the same scale."""
    logs = [math.log10(float(values[name])) for name in LOGARITHMIC]
    plain = [float(values[name]) * 3 for name in LINEAR]
    size = math.log2(sum(int(part) for part in values["hidden"].strip('"').split("-")))
    kind = values["optimizer"].strip('"')
    return [*logs, *plain, size, *(1.0 * (kind == each) for each in ("adamw", "adam", "sgd"))]


if __name__ == "__main__":
    print_table(results())
