"""Enforces the deployment's guardrails, which no message can exceed, not even by ``overrides``.

``with_enforced`` sets the values that the deployment chooses. ``check_guardrails`` checks the
finished request, so the way in which a value got into it does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import NotAllowed
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.tuning_job.api.schema import (
    ApiRequest,
    definitions,
    on_definitions,
)
from hpo_dispatcher.tuning_job.api.search_space import GRID, training_jobs_of

Definition = dict[str, Any]


_RESOURCE_FIELDS = ("ResourceConfig", "HyperParameterTuningResourceConfig")


def with_enforced(
    api_request: ApiRequest, guardrails: Guardrails, *, role_arn: str, replace: bool = False
) -> ApiRequest:
    """Return the request with the deployment's role, network, keys and switches.

    Args:
        api_request: the request to change.
        guardrails: guardrails of the deployment.
        role_arn: training role of the deployment.
        replace: replace other values of the message instead of rejecting it.

    Raises:
        NotAllowed: the message asks for another value.
    """

    def enforce(definition: Definition) -> Definition:
        enforced = dict(definition)
        for path, value in _enforced_values(guardrails, role_arn):
            _put(enforced, path, value, replace)
        for field in _RESOURCE_FIELDS:
            resources = enforced.get(field)
            if (
                guardrails.volume_kms_key
                and isinstance(resources, dict)
                and _accepts_volume_key(field, resources)
            ):
                key = guardrails.volume_kms_key
                _put(enforced, (field, "VolumeKmsKeyId"), key, replace)
        if guardrails.spot_only:
            stopping = dict(enforced.get("StoppingCondition") or {})
            stopping.setdefault(
                "MaxWaitTimeInSeconds",
                stopping.get("MaxRuntimeInSeconds", aws_limits.DEFAULT_RUN_SECONDS),
            )
            enforced["StoppingCondition"] = stopping
        return enforced

    return on_definitions(api_request, enforce)


def _enforced_values(
    guardrails: Guardrails, role_arn: str
) -> Iterator[tuple[tuple[str, ...], object]]:
    yield ("RoleArn",), role_arn
    if guardrails.vpc:
        yield ("VpcConfig", "Subnets"), list(guardrails.vpc.subnets)
        yield ("VpcConfig", "SecurityGroupIds"), list(guardrails.vpc.security_group_ids)
    if guardrails.output_kms_key:
        yield ("OutputDataConfig", "KmsKeyId"), guardrails.output_kms_key
    if guardrails.network_isolation:
        yield ("EnableNetworkIsolation",), True
    if guardrails.inter_container_encryption:
        yield ("EnableInterContainerTrafficEncryption",), True
    if guardrails.spot_only:
        yield ("EnableManagedSpotTraining",), True


def _accepts_volume_key(field: str, resources: Definition) -> bool:
    """Return whether SageMaker encrypts these volumes with a key; hardware encrypts local disks."""
    types = {str(each) for name, each in _fields_below(resources) if name == "InstanceType"}
    local = sorted(each for each in types if aws_limits.has_local_storage(each))
    others = sorted(types - set(local))
    if local and others:
        _reject(
            f"TrainingJobDefinition.{field}",
            f"the deployment's volume key is required for {others[0]}, but not possible together "
            f"with {local[0]}, which uses local storage",
            "Use instance types that all have local storage, or that all have none",
        )
    return not local


def _put(definition: Definition, path: tuple[str, ...], value: object, replace: bool) -> None:
    """Set a member; reject a message that asks for another value, unless it is replaced."""
    *parents, last = path
    here = definition
    for name in parents:
        inner = here.get(name)
        here[name] = dict(inner) if isinstance(inner, Mapping) else {}
        here = here[name]
    asked = here.get(last)
    if asked is not None and asked != value and not replace:
        _reject(".".join(path), f"{asked!r} is not the deployment's {value!r}", "Remove it")
    here[last] = value


def check_guardrails(api_request: ApiRequest, guardrails: Guardrails) -> None:
    """Check a finished request against the limits of guardrails; places.py checks its locations.

    Args:
        api_request: a request that conforms to the service model.
        guardrails: guardrails of the deployment, or of a team.

    Raises:
        NotAllowed: naming the first field that exceeds a guardrail.
    """
    _check_resource_limits(api_request, guardrails)
    for tag in guardrails.required_tags:
        if not any(each["Key"] == tag for each in api_request.get("Tags", ())):
            _reject(f"tags.{tag}", "the deployment requires this tag", "Add it")
    for definition in definitions(api_request):
        _check_images(definition, guardrails)
        _check_resources(definition, guardrails)
        _check_run_time(definition, guardrails)


def _check_resource_limits(api_request: ApiRequest, guardrails: Guardrails) -> None:
    config = api_request["HyperParameterTuningJobConfig"]
    limits = config["ResourceLimits"]
    is_grid = config["Strategy"] == GRID
    _at_most(
        "resource_limits.max_training_jobs",
        training_jobs_of(api_request),
        guardrails.max_training_jobs,
        required=True,
        how="List fewer values, so that the grid has" if is_grid else "Set it to",
    )
    _at_most(
        "resource_limits.max_parallel_training_jobs",
        limits.get("MaxParallelTrainingJobs"),
        guardrails.max_parallel_training_jobs,
    )


def _check_images(definition: Definition, guardrails: Guardrails) -> None:
    algorithm = definition["AlgorithmSpecification"]
    for field in ("TrainingImage", "AlgorithmName"):
        if field in algorithm:
            path = f"TrainingJobDefinition.AlgorithmSpecification.{field}"
            _one_of(path, algorithm[field], guardrails.images)


def _check_resources(definition: Definition, guardrails: Guardrails) -> None:
    """Check resources by field name, at any depth of nesting."""
    bounds = (
        guardrails.max_instance_count, guardrails.max_volume_gb, guardrails.max_keep_alive_seconds
    )  # fmt: skip
    if not guardrails.instance_types and bounds == (None, None, None):
        return  # nothing is limited, as by default: every message would pay for the walk
    for field in _RESOURCE_FIELDS:
        for name, value in _fields_below(definition.get(field, {})):
            path = f"TrainingJobDefinition.{field}.{name}"
            match name:
                case "InstanceType" | "SelectedInstanceType":
                    _one_of(path, value, guardrails.instance_types)
                case "InstanceCount" | "SelectedInstanceCount":
                    _at_most(path, value, guardrails.max_instance_count)
                case "VolumeSizeInGB":
                    _at_most(path, value, guardrails.max_volume_gb)
                case "KeepAlivePeriodInSeconds":
                    _at_most(path, value, guardrails.max_keep_alive_seconds)


def _fields_below(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _fields_below(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _fields_below(item, name)
    else:
        yield name, value


def _check_run_time(definition: Definition, guardrails: Guardrails) -> None:
    _at_most(
        "TrainingJobDefinition.StoppingCondition.MaxRuntimeInSeconds",
        definition["StoppingCondition"].get("MaxRuntimeInSeconds"),
        guardrails.max_run_seconds,
        required=True,
    )


def _one_of(field: str, value: str, allowed: Sequence[str]) -> None:
    if allowed and not any(fnmatchcase(value, pattern) for pattern in allowed):
        _reject(field, f"{value} is not allowed", f"Use {_listed(allowed)}")


def _at_most(
    field: str,
    value: int | None,
    most: int | None,
    *,
    required: bool = False,
    how: str = "Set it to",
) -> None:
    if most is None or (value is None and not required):
        return
    if value is None or value > most:
        problem = "no limit" if value is None else str(value)
        fix = f"{how} at most {most}"
        _reject(field, f"{problem}, but the deployment allows at most {most}", fix)


def _listed(allowed: Sequence[str]) -> str:
    return "one of " + ", ".join(allowed) if len(allowed) > 1 else allowed[0]


def _reject(field: str, problem: str, fix: str) -> NoReturn:
    raise NotAllowed(field, problem, fix)
