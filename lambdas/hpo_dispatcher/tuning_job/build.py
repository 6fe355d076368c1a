"""Merges a request, its template and the guardrails into a CreateHyperParameterTuningJob request.

All functions are pure. Values are merged in this order, later ones win: template, message,
``overrides``, deployment. The result is checked against botocore's service model, the guardrails
and the documented limits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.names import (
    TAG_DEPLOYMENT,
    TAG_REQUEST_ID,
    TAG_TEAM,
    tuning_job_name,
)
from hpo_dispatcher.contract.request import (
    TuningRequest,
)
from hpo_dispatcher.contract.settings import Guardrails, Limits
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.api.decided_fields import check_decided, is_decided
from hpo_dispatcher.tuning_job.api.form import (
    api_request_of,
    in_form_of,
    tags_of,
    warm_start_of,
)
from hpo_dispatcher.tuning_job.api.schema import (
    ApiRequest,
    check_api_request,
    definitions,
    input_shape,
)
from hpo_dispatcher.tuning_job.api.search_space import check_bounds, training_jobs_of
from hpo_dispatcher.tuning_job.defaults import with_template_defaults, with_training_jobs_that_exist
from hpo_dispatcher.tuning_job.guardrails import check_guardrails, with_enforced
from hpo_dispatcher.tuning_job.isolation import check_isolated_channels, with_code_channels
from hpo_dispatcher.tuning_job.parents import Parent, Resumption
from hpo_dispatcher.tuning_job.places import Places, check_places
from hpo_dispatcher.tuning_job.script_search import as_one_training_job
from hpo_dispatcher.tuning_job.service_limits import check_documented_limits, check_inherited
from hpo_dispatcher.tuning_job.short_form import Image, image_of, in_api_form, with_images
from hpo_dispatcher.tuning_job.targets.copies import Copies, with_copies


def build(
    request: TuningRequest,
    team: str,
    template: Template,
    guardrails: Guardrails | None,
    environment: Environment,
    *,
    image: Image,
    limits: Limits,
    template_name: str = "",
    parents: Sequence[Parent] = (),
    resumption: Resumption | None = None,
    team_guardrails: Guardrails | None = None,
    target_guardrails: Guardrails | None = None,
    teams: Collection[str] = (),
    copies: Copies | None = None,
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
        template_name: the template's name, as parents have it.
        parents: the tuning jobs of ``warm_start_from``, in the same order.
        resumption: what the request's earlier, preempted tuning jobs leave to do; None if none.
        team_guardrails: limits of the team, besides those of the deployment.
        target_guardrails: limits of the target, besides those of the deployment.
        teams: all teams of the deployment.
        copies: the data that S3 replicates to the target; None: none.

    Raises:
        InvalidRequest: SageMaker would reject the request.
        NotAllowed: the guardrails reject the request.
    """
    opened = (guardrails or Guardrails()).opened_for(team_guardrails)
    opened = opened.opened_for(target_guardrails)
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
        checked=[
            each for each in (guardrails, team_guardrails, target_guardrails) if each is not None
        ],
        places=places if guardrails is not None else None,
        limits=limits,
        parents=parents,
        resumption=resumption,
        copies=copies,
    )
    if request.api_request is not None:
        try:
            asked_for = api_request_of(request, team, teams)
            merged = start.owned_by_deployment(request, asked_for, tags_of(asked_for))
            merged = start.finished(merged, partial(warm_start_of, merged, request.warm_start_from))
            # Isolation that the guardrails add: the request itself does not expect it.
            return with_code_channels(merged) if opened.network_isolation else merged
        except InvalidRequest as error:
            raise in_form_of(request, error) from None
    asked = request
    request = as_one_training_job(with_template_defaults(request, template), template)
    merged = in_api_form(request, team, template, environment, image)
    merged = start.owned_by_deployment(request, merged)
    merged = with_images(merged, image)
    merged = with_training_jobs_that_exist(merged, asked)
    merged = start.finished(merged, lambda chosen, _: _warm_start(template_name, chosen))
    check_isolated_channels(merged, template, lambda each: image_of(each, image))
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
    copies: Copies | None

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
        check_api_request(owned)  # the code that follows relies on its shape and bounds
        check_bounds(owned)
        return with_copies(owned, self.copies) if self.copies else owned

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
            if not is_decided(input_shape()):  # else the check of the shape has refused the others
                check_decided(api_request)
            for definition in definitions(api_request):
                check_places(definition, self.places)
        inherited = sum(parent.training_jobs for parent in parents)
        check_documented_limits(api_request, inherited)
        check_inherited(api_request, inherited, self.limits)
        return api_request


def _warm_start(template_name: str, parents: Sequence[Parent]) -> ApiRequest:
    if not parents:
        return {}
    alike = all(parent.template == template_name for parent in parents)
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
    if not parents and not resumption:
        return []
    config = api_request["HyperParameterTuningJobConfig"]
    total = training_jobs_of(api_request) or 0
    chosen = list(resumption.parents) if resumption else []
    room = limits.training_jobs(config["Strategy"]) - total
    room -= sum(parent.training_jobs for parent in chosen)
    for parent in sorted(parents, key=lambda each: each.earlier):
        fits = len(chosen) < aws_limits.WARM_START_PARENTS and parent.training_jobs <= room
        if fits or not (parent.earlier or resumption):
            chosen.append(parent)
            room -= parent.training_jobs
    return chosen


def _tags(
    request: TuningRequest, team: str, deployment: str, below: Mapping[str, str]
) -> list[dict[str, str]]:
    ours = {TAG_REQUEST_ID: request.request_id, TAG_TEAM: team, TAG_DEPLOYMENT: deployment}
    merged = {**below, **request.tags, **ours}
    return [{"Key": key, "Value": value} for key, value in merged.items()]
