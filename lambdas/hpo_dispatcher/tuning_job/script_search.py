"""Templates whose script searches itself: the whole search is one training job.

Such a request looks like any other. Its ranges become one hyperparameter of the script, and its
tuning job runs exactly one training job, so it is queued, counted, observed and stopped like any
other request: docs/decisions/0024.
"""

from __future__ import annotations

import json

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import CategoricalRange, ResourceLimits, TuningRequest
from hpo_dispatcher.contract.templates import Template

SEED = "search-seed"  # a tuning job must search at least one hyperparameter


def as_one_training_job(request: TuningRequest, template: Template) -> TuningRequest:
    """Return the request as one training job, if the template's script searches.

    Args:
        request: the request with its template's defaults.
        template: its template. Most templates leave the request unchanged.

    Raises:
        InvalidRequest: the request asks SageMaker for a search that the script performs.
    """
    parameter = template.ranges_parameter
    if parameter is None:
        return request
    _check(request, parameter)
    ranges = {
        name: each.model_dump(mode="json") for name, each in request.hyperparameter_ranges.items()
    }
    # Encoded twice, because the container decodes values once.
    written = json.dumps(json.dumps(ranges, separators=(",", ":")))
    longest = aws_limits.HYPERPARAMETER_VALUE_LENGTH
    if len(written) > longest:
        raise InvalidRequest(
            "hyperparameter_ranges",
            f"{len(written)} characters as JSON, {longest} at most for this template",
            "Search fewer hyperparameters, or list fewer values",
        )
    seed = request.hyperparameters.get(SEED, 0)
    static = {name: value for name, value in request.hyperparameters.items() if name != SEED}
    return request.model_copy(
        update={
            "hyperparameters": static | {parameter: written},
            "hyperparameter_ranges": {SEED: CategoricalRange(type="categorical", values=(seed,))},
            "resource_limits": ResourceLimits(
                max_training_jobs=1,
                max_parallel_training_jobs=1,
                max_runtime_in_seconds=request.resource_limits.max_runtime_in_seconds,
            ),
        }
    )


def _check(request: TuningRequest, parameter: str) -> None:
    limits = request.resource_limits
    for field in ("max_training_jobs", "max_parallel_training_jobs"):
        if getattr(limits, field) not in (None, 1):
            raise InvalidRequest(
                f"resource_limits.{field}",
                f"{getattr(limits, field)}, but this template searches within one training job",
                "Remove it; set hyperparameters.trials and hyperparameters.parallel instead",
            )
    if request.strategy not in (None, "Random"):
        raise InvalidRequest(
            "strategy",
            f"{request.strategy}, but the script of this template searches, not SageMaker",
            "Remove it; set hyperparameters.algorithm to random, optuna or hyperopt instead",
        )
    if request.warm_start_from:
        raise InvalidRequest(
            "warm_start_from",
            "the script of this template searches, and does not support parents",
            "Remove it, or use a template without ranges_parameter",
        )
    if parameter in {**request.hyperparameters, **request.hyperparameter_ranges}:
        raise InvalidRequest(
            f"hyperparameters.{parameter}",
            "reserved: it passes the ranges to the script of this template",
            "Use hyperparameter_ranges instead",
        )
    if SEED in request.hyperparameter_ranges:
        raise InvalidRequest(
            f"hyperparameter_ranges.{SEED}",
            "cannot be searched: it is the seed of the search",
            "Move it to hyperparameters",
        )
