"""Templates whose script searches by itself: the whole search is one training job.

The request reads like any other. Its ranges become one hyperparameter of the script, and the
tuning job around it runs exactly one training job, so that it is queued, counted, observed and
stopped like everything else: docs/decisions/0024.
"""

from __future__ import annotations

import json

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import CategoricalRange, ResourceLimits, TuningRequest
from hpo_dispatcher.contract.settings import Template

SEED = "search-seed"  # SageMaker wants a tuning job to search something


def as_one_training_job(request: TuningRequest, template: Template) -> TuningRequest:
    """The request as SageMaker gets it, where the template searches by itself.

    Args:
        request: with its template's defaults filled in.
        template: decides; most leave the request as it is.

    Raises:
        InvalidRequest: the request asks SageMaker for what the script does itself.
    """
    parameter = template.ranges_parameter
    if parameter is None:
        return request
    _check(request, parameter)
    ranges = {
        name: each.model_dump(mode="json") for name, each in request.hyperparameter_ranges.items()
    }
    # Twice: the container decodes values once, and would take an object apart.
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
                "Leave it out; hyperparameters.trials and .parallel say how much it tries",
            )
    if request.strategy not in (None, "Random"):
        raise InvalidRequest(
            "strategy",
            f"{request.strategy}, but this template's script searches, not SageMaker",
            "Leave it out; hyperparameters.algorithm says how: random, optuna or hyperopt",
        )
    if request.warm_start_from:
        raise InvalidRequest(
            "warm_start_from",
            "this template's script searches, and knows no parents",
            "Leave it out, or use a template that SageMaker searches",
        )
    if parameter in {**request.hyperparameters, **request.hyperparameter_ranges}:
        raise InvalidRequest(
            f"hyperparameters.{parameter}",
            "is how this template's script is told of the ranges",
            "Give them as hyperparameter_ranges",
        )
    if SEED in request.hyperparameter_ranges:
        raise InvalidRequest(
            f"hyperparameter_ranges.{SEED}",
            "cannot be searched: it is the seed of the search",
            "Give it as hyperparameters",
        )
