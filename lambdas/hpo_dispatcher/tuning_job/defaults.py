"""Fills the fields that a request omits with its template's defaults."""

from __future__ import annotations

import math
from typing import Any

from hpo_dispatcher.contract.request import ResourceLimits, TuningRequest
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.api.schema import ApiRequest, definitions
from hpo_dispatcher.tuning_job.api.search_space import GRID, combinations_of

# The HyperParameterTuningJobConfig of a request that neither its template nor its message sets.
BUILT_IN: dict[str, Any] = {
    "Strategy": "Bayesian",
    "ResourceLimits": {"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 2},
}


def with_template_defaults(request: TuningRequest, template: Template) -> TuningRequest:
    """Return the request with its template's defaults for the fields that it omits.

    Static hyperparameters are merged by name, except those that the request searches. Resource
    limits are merged by field.
    """
    defaults = template.request
    update: dict[str, Any] = {}
    if static := defaults.get("hyperparameters"):
        searched = request.hyperparameter_ranges
        fixed = {name: value for name, value in static.items() if name not in searched}
        update["hyperparameters"] = fixed | request.hyperparameters
    if request.objective is None:
        update["objective"] = template.objective
    if request.strategy is None:
        update["strategy"] = defaults.get("strategy")
    if limits := defaults.get("resource_limits"):
        asked = request.resource_limits.model_dump(exclude_none=True)
        update["resource_limits"] = ResourceLimits(**{**limits, **asked})
    if tags := defaults.get("tags"):
        update["tags"] = tags | request.tags
    return request.model_copy(update=update) if update else request


def with_training_jobs_that_exist(api_request: ApiRequest, asked: TuningRequest) -> ApiRequest:
    """Return the request with defaults that fit its search space, and each other.

    A number of training jobs that nobody asked for becomes the number of combinations: in a Grid,
    and elsewhere if the search space has fewer. A Grid over several definitions has none: SageMaker
    calculates it. A number in the message or in its ``overrides`` is kept, and rejected by
    ``check_documented_limits`` if it does not fit.

    Args:
        api_request: a request that conforms to the service model.
        asked: the message, without its template's defaults.
    """
    config = api_request["HyperParameterTuningJobConfig"]
    chosen = asked.overrides.get("HyperParameterTuningJobConfig", {}).get("ResourceLimits", {})
    limits = dict(config["ResourceLimits"])
    total = limits.get("MaxNumberOfTrainingJobs")
    is_default = (
        asked.resource_limits.max_training_jobs is None and "MaxNumberOfTrainingJobs" not in chosen
    )
    points = combinations_of(api_request) if is_default and total is not None else math.inf
    if total is not None and not math.isinf(points):
        is_grid = config["Strategy"] == GRID
        total = limits["MaxNumberOfTrainingJobs"] = int(points if is_grid else min(total, points))
        if is_grid and len(definitions(api_request)) > 1:
            del limits["MaxNumberOfTrainingJobs"]
    parallel = asked.resource_limits.max_parallel_training_jobs
    if total is not None and parallel is None and "MaxParallelTrainingJobs" not in chosen:
        limits["MaxParallelTrainingJobs"] = min(limits["MaxParallelTrainingJobs"], total)
    return api_request | {"HyperParameterTuningJobConfig": {**config, "ResourceLimits": limits}}
