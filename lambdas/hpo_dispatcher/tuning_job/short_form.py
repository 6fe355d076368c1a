"""Turns a message in short form into an API request.

Values are merged in this order, later ones win: what every request has, template, message,
``overrides``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.names import workspace_prefix
from hpo_dispatcher.contract.request import (
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    Range,
    Scalar,
    TuningRequest,
    wire_value,
)
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.api.alternatives import INSTEAD_OF, without_replaced
from hpo_dispatcher.tuning_job.api.schema import (
    SOURCE_ARCHIVE,
    ApiRequest,
    instance_types,
    on_definitions,
)
from hpo_dispatcher.tuning_job.defaults import BUILT_IN

# The URI of a training image, or a function that returns it for an instance type.
Image = str | Callable[[str], str]


def in_api_form(
    request: TuningRequest, team: str, template: Template, environment: Environment, image: Image
) -> ApiRequest:
    """Return the API request of a message in short form, not yet checked.

    Args:
        request: the request with its template's defaults.
        team: its team.
        template: its template.
        environment: bucket, role, training source and Region of the deployment.
        image: the template's training image. ``with_images`` adds those that depend on the
            instance type.

    Raises:
        InvalidRequest: ``overrides`` contains what belongs to the deployment, or cannot be merged.
    """
    _check_reserved(request)
    merged = _merge(_base(template, team, request, environment, image), _fields(request))
    return _spread_definitions(_with_overrides(merged, request.overrides), request)


def _base(
    template: Template,
    team: str,
    request: TuningRequest,
    environment: Environment,
    image: Image,
) -> ApiRequest:
    places = {
        "{artifact_bucket}": environment.artifact_bucket,
        "{team}": team,
        "{request_id}": request.request_id,
        "{region}": environment.region,
    }
    definition: dict[str, Any] = {
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "OutputDataConfig": {
            "S3OutputPath": f"s3://{environment.artifact_bucket}/{workspace_prefix(team)}output/"
        },
        "RoleArn": environment.training_role(team),
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    if isinstance(image, str):
        definition["AlgorithmSpecification"]["TrainingImage"] = image
    if template.entry_point:  # script mode: the container downloads and runs the script
        definition["StaticHyperParameters"] = {
            "sagemaker_program": template.entry_point,
            SOURCE_ARCHIVE: _filled(template.source or environment.training_source, places),
            "sagemaker_region": environment.region,
        }
    below = {"HyperParameterTuningJobConfig": BUILT_IN, "TrainingJobDefinition": definition}
    return _merge(below, _filled(template.tuning_job, places))


def _filled(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        if "{" in value:
            for place, text in places.items():
                value = value.replace(place, text)
        return value
    if isinstance(value, dict):
        return {key: _filled(item, places) for key, item in value.items()}
    return [_filled(item, places) for item in value] if isinstance(value, list) else value


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge objects recursively; every other value of ``above`` replaces the one below."""
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(under := merged.get(key), dict):
            merged[key] = _merge(under, value)
        else:
            merged[key] = value
    return merged


def _with_overrides(api_request: ApiRequest, overrides: Mapping[str, Any]) -> ApiRequest:
    """Merge ``overrides`` over the API request of the template and the message."""
    above = dict(overrides)
    if isinstance(above.get("TrainingJobDefinition"), dict):
        below = api_request["TrainingJobDefinition"]
        above["TrainingJobDefinition"] = _over_definition(below, above["TrainingJobDefinition"])
        api_request = {**api_request, "TrainingJobDefinition": {}}
    return _merge(api_request, above)


def _over_definition(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge training job definitions; what the upper one has replaces what excludes it below."""
    kept = without_replaced("TrainingJobDefinition", below, above)
    for name, asked in above.items():
        under = kept.get(name)
        if name in INSTEAD_OF and isinstance(under, dict) and isinstance(asked, dict):
            kept[name] = without_replaced(name, under, asked)
    return _merge(kept, above)


def _fields(request: TuningRequest) -> ApiRequest:
    limits = request.resource_limits
    resource_limits = {
        "MaxNumberOfTrainingJobs": limits.max_training_jobs,
        "MaxParallelTrainingJobs": limits.max_parallel_training_jobs,
        "MaxRuntimeInSeconds": limits.max_runtime_in_seconds,
    }
    config: dict[str, Any] = {
        "ResourceLimits": {name: n for name, n in resource_limits.items() if n is not None},
        "ParameterRanges": parameter_ranges(request.hyperparameter_ranges),
    }
    if request.strategy:
        config["Strategy"] = request.strategy
    if request.objective:
        config["HyperParameterTuningJobObjective"] = {
            "MetricName": request.objective.metric,
            "Type": request.objective.type,
        }
    static = _wire_values(request.hyperparameters)
    return {
        "HyperParameterTuningJobConfig": config,
        "TrainingJobDefinition": {"StaticHyperParameters": static},
    }


def _wire_values(values: Mapping[str, Scalar]) -> dict[str, str]:
    return {name: wire_value(value) for name, value in values.items()}


def parameter_ranges(ranges: Mapping[str, Range]) -> dict[str, list[dict[str, Any]]]:
    """Return ranges as the API's ParameterRanges."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, each in ranges.items():
        match each:
            case CategoricalRange(values=values):
                written = {"Name": name, "Values": [wire_value(value) for value in values]}
                found.setdefault("CategoricalParameterRanges", []).append(written)
            case ContinuousRange() | IntegerRange():
                written = {
                    "Name": name,
                    "MinValue": wire_value(each.min),
                    "MaxValue": wire_value(each.max),
                    "ScalingType": each.scaling,
                }
                kind = "Integer" if isinstance(each, IntegerRange) else "Continuous"
                found.setdefault(f"{kind}ParameterRanges", []).append(written)
    return found


def _spread_definitions(api_request: ApiRequest, request: TuningRequest) -> ApiRequest:
    """Merge each of several definitions in ``overrides`` over the template's single one."""
    several = api_request.get("TrainingJobDefinitions")
    if several is None:
        return api_request
    if not isinstance(several, list) or not all(isinstance(each, dict) for each in several):
        raise InvalidRequest(
            "overrides.TrainingJobDefinitions", "not a list of objects", "Use a list of objects"
        )
    spread = dict(api_request)
    config = dict(spread["HyperParameterTuningJobConfig"])
    shared = {
        "HyperParameterRanges": config.pop("ParameterRanges", {}),
        "TuningObjective": config.pop("HyperParameterTuningJobObjective", None),
    }
    base = spread.pop("TrainingJobDefinition") | {k: v for k, v in shared.items() if v}
    spread["HyperParameterTuningJobConfig"] = config
    spread["TrainingJobDefinitions"] = [
        _over_definition({"DefinitionName": f"definition-{index}"} | base, each)
        for index, each in enumerate(several)
    ]
    return spread


def with_images(api_request: ApiRequest, image: Image) -> ApiRequest:
    """Give each definition without an image the template's, for the definition's instance type."""

    def completed(definition: dict[str, Any]) -> dict[str, Any]:
        algorithm = definition["AlgorithmSpecification"]
        if "TrainingImage" in algorithm or "AlgorithmName" in algorithm:
            return definition
        algorithm = {**algorithm, "TrainingImage": image_of(definition, image)}
        return {**definition, "AlgorithmSpecification": algorithm}

    return on_definitions(api_request, completed)


def image_of(definition: Mapping[str, Any], image: Image) -> str:
    """Return the template's image for a definition. An image for GPUs also runs without one."""
    if isinstance(image, str):
        return image
    types = instance_types(definition)
    first = types[0] if types else "ml.m5.large"  # without a type, the request is rejected later
    return image(next(filter(aws_limits.has_gpu, types), first))


_RESERVED = {
    "HyperParameterTuningJobName": "The name follows from team and request_id; remove it",
    "Tags": "Use the tags field of the message",
    "RoleArn": "The deployment's role is used; remove it",
    # Tuning job names can be derived, so a message could name another team's tuning job.
    "WarmStartConfig": "Name requests of your own team in warm_start_from",
}


def _check_reserved(request: TuningRequest) -> None:
    for field, fix in _RESERVED.items():
        if field in request.overrides:
            raise InvalidRequest(f"overrides.{field}", "cannot be overridden", fix)
