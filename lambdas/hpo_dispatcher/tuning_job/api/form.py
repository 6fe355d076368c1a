"""Requests in API form: a CreateHyperParameterTuningJob request of the team's own.

Such a request stays as it is, except for what belongs to the deployment: name, tags, role, and the
network, keys and switches that the guardrails set. Guardrails and limits apply to both forms.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.names import OWN_TAG_PREFIX, may_be_tuning_job_of
from hpo_dispatcher.contract.request import API_NAME, TuningRequest
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.api.schema import (
    ApiRequest,
    Problem,
    check_api_request,
    definitions,
    problems_in,
)
from hpo_dispatcher.tuning_job.parents import Parent, Resumption

# Requests in API form have no template. This one adds nothing to a request.
NO_TEMPLATE = Template(description="None: the request is in API form", image="")

_CONFIG = "HyperParameterTuningJobConfig"
_WARM_START = "WarmStartConfig"
_PARENTS = "ParentHyperParameterTuningJobs"
# Fields of the short form, as errors name them, and the fields of the API.
_API_PATHS = {
    "resource_limits.max_training_jobs": f"{_CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs",
    "resource_limits.max_parallel_training_jobs": (
        f"{_CONFIG}.ResourceLimits.MaxParallelTrainingJobs"
    ),
    "hyperparameter_ranges": f"{_CONFIG}.ParameterRanges",
    "objective.metric": f"{_CONFIG}.HyperParameterTuningJobObjective.MetricName",
    "objective": f"{_CONFIG}.HyperParameterTuningJobObjective",
    "overrides.": "",
}
_QUEUEING_FIELDS = ("tags", "warm_start_from", "after", "priority", "request_id")


def in_form_of(request: TuningRequest, error: InvalidRequest) -> InvalidRequest:
    """Return an error that names its field by the path in the request's message."""
    if request.api_request is None:
        return error
    return type(error)(_api_path(error.field), error.problem, error.fix)


def _api_path(field: str) -> str:
    if field.split(".", 1)[0] in (*_QUEUEING_FIELDS, "api_request"):
        return field
    for short, path in _API_PATHS.items():
        if field.startswith(short):
            return f"api_request.{path}{field[len(short) :]}"
    return f"api_request.{field}"


def api_request_of(request: TuningRequest, team: str, teams: Collection[str]) -> ApiRequest:
    """Return the API request of a message in API form, without its name.

    Args:
        request: the request as accepted.
        team: its team.
        teams: all teams of the deployment.

    Raises:
        InvalidRequest: the API would reject it, or it names what belongs to others.
    """
    named = _named(request)
    check_api_request(named)
    _check_algorithms(named)
    _check_tags(named)
    _check_parents(named, request.warm_start_from, team, teams)
    return {name: value for name, value in named.items() if name != API_NAME}


def problems_of(request: TuningRequest) -> list[Problem]:
    """Return path, problem and fix of each field that the API would reject, by the path."""
    found = problems_in(_named(request))
    return [(_api_path(path), problem, fix) for path, problem, fix in found]


def _named(request: TuningRequest) -> ApiRequest:
    """Return the API request with any name, which the deployment replaces."""
    assert request.api_request is not None  # noqa: S101  this is what the API form means
    return {**request.api_request, API_NAME: "named-by-the-deployment"}


def _check_algorithms(api_request: ApiRequest) -> None:
    """Check that each definition has an algorithm: AlgorithmSpecification in the API reference."""
    several = "TrainingJobDefinitions" in api_request
    if several == ("TrainingJobDefinition" in api_request):
        problem = "given together with TrainingJobDefinition" if several else "missing"
        fix = "Send either TrainingJobDefinition or TrainingJobDefinitions"
        raise InvalidRequest(f"TrainingJobDefinition{'s' * several}", problem, fix)
    for definition in definitions(api_request):
        algorithm = definition["AlgorithmSpecification"]
        if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
            raise InvalidRequest(
                "TrainingJobDefinition.AlgorithmSpecification",
                "needs exactly one of TrainingImage and AlgorithmName",
                "Name the image or the algorithm",
            )


def _check_tags(api_request: ApiRequest) -> None:
    for index, tag in enumerate(api_request.get("Tags", ())):
        if tag["Key"].startswith(OWN_TAG_PREFIX):
            raise InvalidRequest(
                f"Tags.{index}.Key",
                f"tag {tag['Key']!r} is reserved",
                "Tags that start with hpoq: are set by hpoq",
            )


def _check_parents(
    api_request: ApiRequest, requests: Collection[str], team: str, teams: Collection[str]
) -> None:
    """Check that warm start parents are not tuning jobs that hpoq made for other teams."""
    others = [each for each in teams if each != team]
    for index, parent in enumerate(_parents(api_request)):
        name = parent["HyperParameterTuningJobName"]
        if name not in requests and any(may_be_tuning_job_of(each, name) for each in others):
            raise InvalidRequest(
                f"{_WARM_START}.{_PARENTS}.{index}.HyperParameterTuningJobName",
                f"{name!r} may be a tuning job of another team",
                "Name requests of your own team in warm_start_from",
            )


def _parents(api_request: ApiRequest) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = api_request.get(_WARM_START, {}).get(_PARENTS, ())
    return found


def tags_of(api_request: ApiRequest) -> dict[str, str]:
    """Return the tags of an API request that conforms to the service model."""
    return {tag["Key"]: tag["Value"] for tag in api_request.get("Tags", ())}


def warm_start_of(
    api_request: ApiRequest,
    requests: Collection[str],
    parents: Sequence[Parent],
    resumption: Resumption | None,
) -> ApiRequest:
    """Return the warm start of an API request, with the requests of ``warm_start_from``.

    A parent whose name is also in ``warm_start_from`` is that request, not a tuning job. A resumed
    request starts from its own earlier tuning jobs, which already build on the named parents.

    Args:
        api_request: a request that conforms to the service model.
        requests: the request ids in ``warm_start_from``.
        parents: the tuning jobs of these requests.
        resumption: what the request's earlier tuning jobs leave to do; None if it has none.
    """
    if not parents:
        return {}
    added = [{"HyperParameterTuningJobName": parent.tuning_job_name} for parent in parents]
    if resumption:
        return {_WARM_START: {_PARENTS: added, "WarmStartType": "IdenticalDataAndAlgorithm"}}
    named = [
        parent
        for parent in _parents(api_request)
        if parent["HyperParameterTuningJobName"] not in requests
    ]
    kind = api_request.get(_WARM_START, {}).get("WarmStartType", "TransferLearning")
    return {_WARM_START: {_PARENTS: [*named, *added], "WarmStartType": kind}}
