"""Merges a request, its template and the guardrails into a CreateHyperParameterTuningJob request.

All functions are pure. Values are merged in this order, later ones win: template, message,
``overrides``, deployment. The result is checked against botocore's service model, the guardrails
and the documented limits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.names import (
    TAG_DEPLOYMENT,
    TAG_REQUEST_ID,
    TAG_TEAM,
    tuning_job_name,
    workspace_prefix,
)
from hpo_dispatcher.contract.request import (
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    Range,
    Scalar,
    TuningRequest,
    wire_value,
)
from hpo_dispatcher.contract.settings import Guardrails, Limits
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.api.form import (
    api_paths,
    api_request_of,
    tags_of,
    warm_start_of,
)
from hpo_dispatcher.tuning_job.api.schema import (
    SOURCE_ARCHIVE,
    ApiRequest,
    check_api_request,
    definitions,
    instance_choices,
    instance_types,
    on_definitions,
)
from hpo_dispatcher.tuning_job.defaults import with_template_defaults, with_training_jobs_that_exist
from hpo_dispatcher.tuning_job.guardrails import check_guardrails, with_enforced
from hpo_dispatcher.tuning_job.isolation import check_isolated_channels, with_code_channels
from hpo_dispatcher.tuning_job.parents import Parent, Resumption
from hpo_dispatcher.tuning_job.places import Places, check_places
from hpo_dispatcher.tuning_job.script_search import as_one_training_job
from hpo_dispatcher.tuning_job.service_limits import check_bounds, check_documented_limits

# The URI of a training image, or a function that returns it for an instance type.
Image = str | Callable[[str], str]


def build(
    request: TuningRequest,
    team: str,
    template: Template,
    guardrails: Guardrails | None,
    environment: Environment,
    *,
    image: Image,
    limits: Limits,
    parents: Sequence[Parent] = (),
    resumption: Resumption | None = None,
    team_guardrails: Guardrails | None = None,
    teams: Collection[str] = (),
) -> ApiRequest:
    """Build the finished CreateHyperParameterTuningJob request.

    Args:
        request: the request as accepted.
        team: team whose queue the message came from.
        template: the template that the request names, or the deployment's default; unused by a
            request in API form.
        guardrails: limits that override every value of the message. None: only its role limits a
            tuning job that is created without the queue.
        environment: bucket, role, training source and Region of the deployment.
        image: the template's training image.
        limits: the account's limits, within which optional warm start parents are chosen.
        parents: the tuning jobs of ``warm_start_from``, in the same order.
        resumption: what the request's earlier, preempted tuning jobs leave to do; None if none.
        team_guardrails: limits of the team, besides those of the deployment.
        teams: all teams of the deployment.

    Raises:
        InvalidRequest: SageMaker would reject the request.
        NotAllowed: the guardrails reject the request.
    """
    opened = (guardrails or Guardrails()).opened_for(team_guardrails)
    places = Places(
        team=team,
        bucket=environment.artifact_bucket,
        training_source=environment.training_source,
        opened=opened,
    )
    start = _Start(
        team=team,
        environment=environment,
        opened=opened,
        checked=[each for each in (guardrails, team_guardrails) if each is not None],
        places=places if guardrails is not None else None,
        limits=limits,
        parents=parents,
        resumption=resumption,
    )
    if request.api_request is not None:
        with api_paths(request):
            asked_for = api_request_of(request, team, teams)
            merged = start.owned_by_deployment(request, asked_for, tags_of(asked_for))
            merged = start.finished(merged, partial(warm_start_of, merged, request.warm_start_from))
            # Isolation that the guardrails add: the request itself does not expect it.
            return with_code_channels(merged) if opened.network_isolation else merged
    asked = request
    request = as_one_training_job(with_template_defaults(request, template), template)
    _check_reserved(request)
    merged = _merge(_base(template, team, request, environment, image), _fields(request))
    merged = _spread_definitions(_merge(merged, request.overrides), request)
    merged = start.owned_by_deployment(request, merged)
    merged = _with_images(merged, image)
    check_bounds(merged)
    merged = with_training_jobs_that_exist(merged, asked)
    merged = start.finished(merged, lambda chosen, _: _warm_start(request, chosen))
    check_isolated_channels(merged, template, lambda each: _image_of(each, image))
    return with_code_channels(merged)


@dataclass(frozen=True, kw_only=True)
class _Start:
    """What both forms of a request have in common: the deployment's part, and the checks."""

    team: str
    environment: Environment
    opened: Guardrails  # with what the settings open to the team
    checked: Sequence[Guardrails]
    places: Places | None  # None: any
    limits: Limits
    parents: Sequence[Parent]
    resumption: Resumption | None

    def owned_by_deployment(
        self, request: TuningRequest, api_request: ApiRequest, tags: Mapping[str, str] | None = None
    ) -> ApiRequest:
        """Return the request with name, tags, role and enforced values; check its shape."""
        role = self.environment.training_role(self.team)
        in_api_form = request.api_request is not None
        owned = with_enforced(api_request, self.opened, role_arn=role, replace=in_api_form)
        before = self.resumption.number if self.resumption else 0
        name = tuning_job_name(self.team, request.request_id, before)
        owned["HyperParameterTuningJobName"] = name
        owned["Tags"] = _tags(request, self.team, self.environment.deployment, tags or {})
        check_api_request(owned)  # the code that follows relies on its shape
        return owned

    def finished(
        self,
        api_request: ApiRequest,
        warm_start: Callable[[Sequence[Parent], Resumption | None], ApiRequest],
    ) -> ApiRequest:
        """Return the request with its warm start, resumed; check guardrails and limits."""
        if self.resumption:
            api_request = _resumed(api_request, self.resumption)
        parents = _within_limits(self.parents, self.resumption, api_request, self.limits)
        api_request = api_request | warm_start(parents, self.resumption)
        for guardrails in self.checked:
            check_guardrails(api_request, guardrails)
        if self.places:
            for definition in definitions(api_request):
                check_places(definition, self.places)
        check_documented_limits(api_request, sum(parent.training_jobs for parent in parents))
        return api_request


def instances_of(api_request: ApiRequest) -> dict[str, int]:
    """Return the instances per type and purchase option that the tuning job may use at once.

    The names are those of ``aws_limits.instances_resource``. If there are several definitions or
    instance types, SageMaker may give all parallel training jobs to any of them, so each counts
    with its maximum. All of them together run MaxParallelTrainingJobs at most. The result contains
    their total if it is less than the sum over the types.
    """
    config = api_request["HyperParameterTuningJobConfig"]
    parallel = config["ResourceLimits"]["MaxParallelTrainingJobs"]
    instances: dict[str, int] = {}
    most: dict[str, int] = {}  # in all, by purchase option
    for definition in definitions(api_request):
        spot = definition.get("EnableManagedSpotTraining", False)
        for choice in instance_choices(definition):
            for instance_type, count in choice.items():
                resource = aws_limits.instances_resource(instance_type, spot=spot)
                instances[resource] = max(instances.get(resource, 0), parallel * count)
            total = aws_limits.ALL_SPOT_INSTANCES if spot else aws_limits.ALL_INSTANCES
            most[total] = max(most.get(total, 0), parallel * sum(choice.values()))
    if len(instances) == 1:  # which is its own total
        return instances
    sums = aws_limits.totals_of(instances)
    return instances | {total: count for total, count in most.items() if count < sums[total]}


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
            SOURCE_ARCHIVE: environment.training_source,
            "sagemaker_region": environment.region,
        }
    return _merge({"TrainingJobDefinition": definition}, _filled(template.tuning_job, places))


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
        under = merged.get(key)
        both = isinstance(value, dict) and isinstance(under, dict)
        merged[key] = _merge(under, value) if both and under is not None else value
    return merged


def _fields(request: TuningRequest) -> ApiRequest:
    limits = request.resource_limits
    resource_limits = {
        "MaxNumberOfTrainingJobs": limits.max_training_jobs,
        "MaxParallelTrainingJobs": limits.max_parallel_training_jobs,
        "MaxRuntimeInSeconds": limits.max_runtime_in_seconds,
    }
    config: dict[str, Any] = {
        "Strategy": request.strategy,
        "ResourceLimits": {name: n for name, n in resource_limits.items() if n is not None},
        "ParameterRanges": _parameter_ranges(request.hyperparameter_ranges),
    }
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


def _parameter_ranges(ranges: Mapping[str, Range]) -> dict[str, list[dict[str, Any]]]:
    parameter_ranges: dict[str, list[dict[str, Any]]] = {}
    for name, each in ranges.items():
        match each:
            case CategoricalRange(values=values):
                written = {"Name": name, "Values": [wire_value(value) for value in values]}
                parameter_ranges.setdefault("CategoricalParameterRanges", []).append(written)
            case ContinuousRange() | IntegerRange():
                written = {
                    "Name": name,
                    "MinValue": wire_value(each.min),
                    "MaxValue": wire_value(each.max),
                    "ScalingType": each.scaling,
                }
                kind = "Integer" if isinstance(each, IntegerRange) else "Continuous"
                parameter_ranges.setdefault(f"{kind}ParameterRanges", []).append(written)
    return parameter_ranges


def _warm_start(request: TuningRequest, parents: Sequence[Parent]) -> ApiRequest:
    if not parents:
        return {}
    alike = all(parent.template == request.template for parent in parents)
    return {
        "WarmStartConfig": {
            "ParentHyperParameterTuningJobs": [
                {"HyperParameterTuningJobName": parent.tuning_job_name} for parent in parents
            ],
            "WarmStartType": "IdenticalDataAndAlgorithm" if alike else "TransferLearning",
        }
    }


def _resumed(api_request: ApiRequest, resumption: Resumption) -> ApiRequest:
    """Limit the request to what is left, with another seed so that no trial is repeated."""
    config = dict(api_request["HyperParameterTuningJobConfig"])
    limits = config["ResourceLimits"] | {"MaxNumberOfTrainingJobs": resumption.training_jobs}
    parallel = limits["MaxParallelTrainingJobs"]
    limits["MaxParallelTrainingJobs"] = min(parallel, resumption.training_jobs)
    if "MaxRuntimeInSeconds" in limits:
        left = limits["MaxRuntimeInSeconds"] - resumption.seconds
        limits["MaxRuntimeInSeconds"] = max(aws_limits.MIN_RUNTIME_SECONDS, left)
    if "RandomSeed" in config:
        config["RandomSeed"] = (config["RandomSeed"] + resumption.number) % 2**31
    config["ResourceLimits"] = limits
    return api_request | {"HyperParameterTuningJobConfig": config}


def _within_limits(
    parents: Sequence[Parent],
    resumption: Resumption | None,
    api_request: ApiRequest,
    limits: Limits,
) -> list[Parent]:
    """Return the warm start parents that SageMaker's limits allow.

    A request's own earlier tuning jobs come first, then the parents named in its message. Those are
    omitted only if the request is resumed, because its earlier tuning jobs already build on them.
    """
    config = api_request["HyperParameterTuningJobConfig"]
    total = config["ResourceLimits"].get("MaxNumberOfTrainingJobs", 0)
    chosen = list(resumption.parents) if resumption else []
    room = limits.training_jobs(config["Strategy"]) - total
    room -= sum(parent.training_jobs for parent in chosen)
    for parent in sorted(parents, key=lambda each: each.earlier):
        fits = len(chosen) < aws_limits.WARM_START_PARENTS and parent.training_jobs <= room
        if fits or not (parent.earlier or resumption):
            chosen.append(parent)
            room -= parent.training_jobs
    return chosen


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
        _merge({"DefinitionName": f"definition-{index}"} | base, each)
        for index, each in enumerate(several)
    ]
    return spread


def _with_images(api_request: ApiRequest, image: Image) -> ApiRequest:
    """Give each definition without an image the template's, for the definition's instance type."""

    def completed(definition: dict[str, Any]) -> dict[str, Any]:
        algorithm = definition["AlgorithmSpecification"]
        if "TrainingImage" in algorithm or "AlgorithmName" in algorithm:
            return definition
        algorithm = {**algorithm, "TrainingImage": _image_of(definition, image)}
        return {**definition, "AlgorithmSpecification": algorithm}

    return on_definitions(api_request, completed)


def _image_of(definition: Mapping[str, Any], image: Image) -> str:
    """Return the template's image for a definition. An image for GPUs also runs without one."""
    if isinstance(image, str):
        return image
    types = instance_types(definition)
    first = types[0] if types else "ml.m5.large"  # without a type, the request is rejected later
    return image(next(filter(aws_limits.has_gpu, types), first))


def _tags(
    request: TuningRequest, team: str, deployment: str, below: Mapping[str, str]
) -> list[dict[str, str]]:
    ours = {TAG_REQUEST_ID: request.request_id, TAG_TEAM: team, TAG_DEPLOYMENT: deployment}
    merged = {**below, **request.tags, **ours}
    return [{"Key": key, "Value": value} for key, value in merged.items()]


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
