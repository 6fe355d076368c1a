"""The search space of a request: its bounds, its points, and what strategy Grid accepts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.tuning_job.api.schema import ApiRequest, definitions

GRID = "Grid"
_NUMERIC = ("IntegerParameterRanges", "ContinuousParameterRanges")
_NOT_CATEGORICAL = (*_NUMERIC, "AutoParameters")


def training_jobs_of(api_request: ApiRequest) -> int | None:
    """Return the most training jobs that a tuning job runs; None if its request does not limit it.

    Grid: "You do not need to specify the MaxNumberOfTrainingJobs. The number of training jobs
    created by the tuning job is automatically calculated to be the total number of distinct
    categorical combinations possible" ("How hyperparameter tuning works" in the developer guide).

    Args:
        api_request: a request that conforms to the service model.
    """
    config = api_request["HyperParameterTuningJobConfig"]
    asked: int | None = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if config.get("Strategy") != GRID:
        return asked
    points = combinations_of(api_request)
    return asked if math.isinf(points) else int(points)


def check_grid(api_request: ApiRequest) -> None:
    """Check what a Grid searches.

    "Only categorical parameters are supported when using the grid search strategy" ("How
    hyperparameter tuning works" in the developer guide). A MaxNumberOfTrainingJobs "should equal
    the total number of distinct categorical combinations": SageMaker documents no refusal of less.

    Raises:
        InvalidRequest: a range is not categorical.
    """
    if api_request["HyperParameterTuningJobConfig"]["Strategy"] != GRID:
        return
    for space in _search_spaces(api_request):
        for kind in _NOT_CATEGORICAL:
            for each in space.get(kind, ()):
                raise InvalidRequest(
                    f"hyperparameter_ranges.{each['Name']}",
                    "Grid searches categorical ranges only",
                    "List the values, or use Random",
                )


def searched_names(api_request: ApiRequest) -> set[str]:
    """Return the names of the hyperparameters that SageMaker searches."""
    spaces = _search_spaces(api_request)
    return {each["Name"] for space in spaces for kind in space.values() for each in kind}


def check_bounds(api_request: ApiRequest) -> None:
    """Check the bounds of numeric ranges.

    Logarithmic scaling needs values above 0, and reverse logarithmic scaling values from 0 to below
    1: "Define Hyperparameter Ranges" in the developer guide.

    Raises:
        InvalidRequest: a range has no values, or none that its scaling can use.
    """
    for space in _search_spaces(api_request):
        for kind in _NUMERIC:
            for each in space.get(kind, ()):
                if problem := _problem_of_bounds(each):
                    raise InvalidRequest(f"{kind}.{each['Name']}", problem, "Correct its bounds")


def _problem_of_bounds(numeric: Mapping[str, str]) -> str:
    low, high = numeric["MinValue"], numeric["MaxValue"]
    try:
        least, most = float(low), float(high)
    except ValueError:
        return f"{low!r} to {high!r} is not a range of numbers"
    if not least <= most:
        return f"the minimum {low} is greater than the maximum {high}"
    match numeric.get("ScalingType"):
        case "Logarithmic" if least <= 0:
            return f"logarithmic scaling needs values above 0, but the minimum is {low}"
        case "ReverseLogarithmic" if least < 0 or most >= 1:
            needed = "reverse logarithmic scaling needs values from 0 to below 1"
            return f"{needed}, not {low} to {high}"
    return ""


def combinations_of(api_request: ApiRequest) -> float:
    """Return the number of points of a search space, infinite with a continuous range.

    SageMaker rejects tuning jobs with more training jobs: "You don't have enough combinations of
    hyperparameter ranges" (aws/amazon-sagemaker-operator-for-k8s issue 123).

    Args:
        api_request: a request that conforms to the service model.
    """
    return sum(map(_combinations, _search_spaces(api_request)))


def _search_spaces(api_request: ApiRequest) -> Iterator[Mapping[str, Any]]:
    """Yield the ranges of each definition."""
    shared = api_request["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    for definition in definitions(api_request):
        yield definition.get("HyperParameterRanges") or shared


def _combinations(ranges: Mapping[str, Any]) -> float:
    chosen_by_sagemaker = ranges.get("AutoParameters") or not any(ranges.values())
    if chosen_by_sagemaker or any(map(_is_wide, ranges.get("ContinuousParameterRanges", ()))):
        return math.inf
    integers = map(_integers, ranges.get("IntegerParameterRanges", ()))
    categories = (len(set(each["Values"])) for each in ranges.get("CategoricalParameterRanges", ()))
    return math.prod(integers) * math.prod(categories)


def _is_wide(continuous: Mapping[str, str]) -> bool:
    return continuous["MinValue"] != continuous["MaxValue"]


def _integers(integer: Mapping[str, str]) -> float:
    """Return how many integers a range has; infinitely many if its bounds are not integers."""
    try:
        return int(float(integer["MaxValue"])) - int(float(integer["MinValue"])) + 1
    except (ValueError, OverflowError):
        return math.inf
