"""Fills the fields that a request omits with its template's defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import (
    CategoricalRange,
    ResourceLimits,
    Strategy,
    TuningRequest,
)
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.api.schema import ApiRequest
from hpo_dispatcher.tuning_job.service_limits import combinations_of


def with_template_defaults(request: TuningRequest, template: Template) -> TuningRequest:
    """Return the request with its template's defaults for the fields that it omits.

    Static hyperparameters are merged by name, except those that the request searches. Resource
    limits are merged by field.
    """
    defaults = template.request
    static = {
        name: value
        for name, value in defaults.get("hyperparameters", {}).items()
        if name not in request.hyperparameter_ranges
    }
    strategy = request.strategy or defaults.get("strategy", "Bayesian")
    update = {
        "hyperparameters": static | request.hyperparameters,
        "objective": request.objective or template.objective,
        "strategy": strategy,
        "resource_limits": _joined_limits(request, strategy, defaults.get("resource_limits", {})),
        "tags": defaults.get("tags", {}) | request.tags,
    }
    return request.model_copy(update=update)


def with_training_jobs_that_exist(api_request: ApiRequest, asked: TuningRequest) -> ApiRequest:
    """Return the request with no more training jobs than its search space has combinations.

    Only a default is lowered: a number in the message or in its ``overrides`` is kept, and rejected
    by ``check_documented_limits``.

    Args:
        api_request: a request that conforms to the service model.
        asked: the message, without its template's defaults.
    """
    config = asked.overrides.get("HyperParameterTuningJobConfig", {})
    chosen = config.get("ResourceLimits", {})
    is_default = (
        asked.resource_limits.max_training_jobs is None and "MaxNumberOfTrainingJobs" not in chosen
    )
    if not is_default:
        return api_request
    limits = dict(api_request["HyperParameterTuningJobConfig"]["ResourceLimits"])
    most = combinations_of(api_request)
    if limits.get("MaxNumberOfTrainingJobs", 0) <= most:
        return api_request
    limits["MaxNumberOfTrainingJobs"] = int(most)
    parallel = asked.resource_limits.max_parallel_training_jobs
    if parallel is None and "MaxParallelTrainingJobs" not in chosen:
        limits["MaxParallelTrainingJobs"] = min(limits["MaxParallelTrainingJobs"], int(most))
    return api_request | {
        "HyperParameterTuningJobConfig": api_request["HyperParameterTuningJobConfig"]
        | {"ResourceLimits": limits}
    }


def _joined_limits(
    request: TuningRequest, strategy: Strategy, defaults: Mapping[str, int]
) -> ResourceLimits:
    asked = request.resource_limits.model_dump(exclude_none=True)
    joined = {"max_training_jobs": 20, "max_parallel_training_jobs": 2, **defaults, **asked}
    if strategy == "Grid":
        joined["max_training_jobs"] = _grid_size(request)
    if "max_parallel_training_jobs" not in asked:  # a default must not contradict the request
        joined["max_parallel_training_jobs"] = min(
            joined["max_parallel_training_jobs"], joined["max_training_jobs"]
        )
    return ResourceLimits(**joined)


def _grid_size(request: TuningRequest) -> int:
    """Return the size of the grid. SageMaker rejects any other number of training jobs."""
    sizes = []
    for name, each in request.hyperparameter_ranges.items():
        if not isinstance(each, CategoricalRange):
            raise InvalidRequest(
                f"hyperparameter_ranges.{name}",
                "Grid searches categorical ranges only",
                "List the values, or use Random",
            )
        sizes.append(len(each.values))
    size = math.prod(sizes)
    asked = request.resource_limits.max_training_jobs
    if asked is not None and asked != size:
        raise InvalidRequest(
            "resource_limits.max_training_jobs",
            f"{asked}, but the grid has {size} points and SageMaker runs all of them",
            "Remove it, or use Random",
        )
    if size > aws_limits.TRAINING_JOBS:
        raise InvalidRequest(
            "hyperparameter_ranges",
            f"a grid of {size} points exceeds the limit of {aws_limits.TRAINING_JOBS}",
            "Split it over several requests; `hpoq campaign plan` does",
        )
    return size
