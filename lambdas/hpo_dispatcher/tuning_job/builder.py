"""Builds ledger entries and API requests with the settings of a deployment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from hpo_dispatcher.contract.entry import MINUTE, Entry, Status
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest, InvalidSettings
from hpo_dispatcher.contract.names import claimed_by
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import Deployment, Limits, TeamSettings
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.targets.sites import TargetSite
from hpo_dispatcher.contract.templates import RANGES, FrameworkImage, Template
from hpo_dispatcher.tuning_job.api.form import NO_TEMPLATE, in_form_of
from hpo_dispatcher.tuning_job.api.schema import ApiRequest, definitions
from hpo_dispatcher.tuning_job.api.search_space import GRID, training_jobs_of
from hpo_dispatcher.tuning_job.build import build
from hpo_dispatcher.tuning_job.parents import Parent, Resumption
from hpo_dispatcher.tuning_job.resumption import resume_blocker, resumption_of
from hpo_dispatcher.tuning_job.service_limits import HYPERBAND, check_account_limits
from hpo_dispatcher.tuning_job.short_form import Image
from hpo_dispatcher.tuning_job.targets.copies import Copies
from hpo_dispatcher.tuning_job.usage import instances_of, most_instance_seconds

_NO_SETTINGS = TeamSettings()  # of a team that the settings do not have


class Images(Protocol):
    """A lookup of AWS's training images."""

    def uri(self, image: FrameworkImage, instance_type: str) -> str:
        """Return the registry URI of a framework image for an instance type."""


@dataclass(frozen=True, kw_only=True)
class JobBuilder:
    """A builder of ledger entries and API requests for one deployment, on one of its targets.

    The class is long because new, resumed and started requests are built with the same settings.
    """

    deployment: Deployment
    environment: Environment
    templates: Mapping[str, Template]
    images: Images
    broken_templates: Mapping[str, str] = field(default_factory=dict)  # name -> its problem
    target: str = HOME
    home_bucket: str = ""  # the artifact bucket of home, for another target
    others: Mapping[str, JobBuilder] = field(default_factory=dict)  # of the other targets, by name

    def on(self, target: str) -> JobBuilder:
        """Return the builder for a target.

        Raises:
            InvalidRequest: the settings do not have the target any more.
        """
        if target == self.target:
            return self
        if target not in self.others:
            problem = f"the deployment has no target {target!r} any more"
            raise InvalidRequest("targets", problem, "Resubmit it without the target")
        return self.others[target]

    @property
    def copies(self) -> Copies | None:
        """The data that S3 replicates from home to the target; None: none."""
        folders = self.deployment.targets[self.target].replicate
        if not folders:
            return None
        bucket = self.environment.artifact_bucket
        return Copies(home=self.home_bucket, target=bucket, folders=folders)

    def with_sites(
        self, sites: Mapping[str, TargetSite], images: Callable[[TargetSite], Images]
    ) -> JobBuilder:
        """Return the builder with builders for the other targets.

        Args:
            sites: where the other targets are.
            images: returns the lookup of the images of a target's Region.
        """
        there = {
            name: replace(
                self,
                target=name,
                home_bucket=self.environment.artifact_bucket,
                environment=site.environment(self.environment),
                images=images(site),
            )
            for name, site in sites.items()
        }
        return replace(self, others=there)

    def placed(self, team: str, request: TuningRequest) -> tuple[tuple[str, ...], ApiRequest]:
        """Return the targets on which a request may run, and what is created on the first of them.

        A request that names targets must be able to run on each of them. One that takes its team's
        runs on those of them where its data can be read.

        Raises:
            InvalidRequest: it cannot run on a target that it names, or on any.
        """
        named = request.targets or self._team(team).targets
        if not named:
            return (HOME,), self.new_api_request(team, request)
        allowed = self.deployment.targets_for(team)
        possible: dict[str, ApiRequest] = {}
        refused: InvalidRequest | None = None
        for name in dict.fromkeys(named):
            if name not in allowed:
                problem = f"team {team} may not use a target {name!r}"
                raise InvalidRequest("targets", problem, f"Use {' or '.join(allowed)}")
            try:
                possible[name] = self.on(name).new_api_request(team, request)
            except InvalidRequest as error:
                refused = refused or _elsewhere(name, error)
                if request.targets:
                    raise refused from None
        if not possible and refused:
            raise refused
        return tuple(possible), next(iter(possible.values()))

    def entry(self, team: str, request: TuningRequest, accepted_at: datetime) -> Entry:
        """Return the ledger entry of a new request.

        Raises:
            InvalidRequest: the request can never become a tuning job.
            BrokenTemplate: the request waits for its template; see ``entry_without_demand``.
        """
        targets, api_request = self.placed(team, request)
        limits = api_request["HyperParameterTuningJobConfig"]["ResourceLimits"]
        of_team = self._team(team)
        return Entry(
            team=team,
            request_id=request.request_id,
            status=Status.QUEUED,
            accepted_at=accepted_at,
            request_json=request.to_json(),
            template=self.template_name(request),
            priority=of_team.capped(request.priority),
            priority_aging_minutes=of_team.priority_aging_minutes or 0,
            instances=instances_of(api_request),
            max_training_jobs=training_jobs_of(api_request) or 0,
            max_parallel=limits["MaxParallelTrainingJobs"],
            most_instance_seconds=most_instance_seconds(api_request),
            expected_seconds=math.ceil((request.expected_minutes or 0) * MINUTE),
            blocked=bool(request.after or request.warm_start_from),
            reason=_waits_for(request),
            resume_blocker=resume_blocker(
                api_request, self._template(request), self.deployment.limits
            ),
            targets=targets,
        )

    def entry_without_demand(
        self, team: str, request: TuningRequest, accepted_at: datetime, reason: str
    ) -> Entry:
        """Return the ledger entry of a request that is blocked because its template is broken."""
        of_team = self._team(team)
        return Entry(
            team=team,
            request_id=request.request_id,
            status=Status.QUEUED,
            accepted_at=accepted_at,
            request_json=request.to_json(),
            template=self.template_name(request),
            priority=of_team.capped(request.priority),
            priority_aging_minutes=of_team.priority_aging_minutes or 0,
            blocked=True,
            reason=reason,
        )

    def resumed(self, entry: Entry) -> Entry:
        """Return a preempted entry with the demand of its next tuning job.

        Raises:
            InvalidRequest: the request can no longer become a tuning job.
        """
        assert entry.request  # noqa: S101  it had a tuning job that was created from it
        builder = self.on(entry.target)
        api_request = builder.api_request(entry.team, entry.request, (), resumption_of(entry))
        limits = api_request["HyperParameterTuningJobConfig"]["ResourceLimits"]
        return replace(
            entry,
            instances=instances_of(api_request),
            max_parallel=limits["MaxParallelTrainingJobs"],
            most_instance_seconds=most_instance_seconds(api_request),
            resume_blocker=resume_blocker(
                api_request, self._template(entry.request), self.deployment.limits, entry.earlier
            ),
        )

    def new_api_request(self, team: str, request: TuningRequest) -> ApiRequest:
        """Build the request of a message, which must fit the account's limits, too.

        Raises:
            InvalidRequest: naming the field, the problem and the fix.
        """
        _check_name(team, request.request_id, self.deployment.teams)
        api_request = self.api_request(team, request)
        try:
            check_account_limits(api_request, self.deployment.limits)
        except InvalidRequest as error:
            raise in_form_of(request, error) from None
        return api_request

    def api_request(
        self,
        team: str,
        request: TuningRequest,
        parents: Sequence[Parent] = (),
        resumption: Resumption | None = None,
    ) -> ApiRequest:
        """Build the CreateHyperParameterTuningJob request.

        Raises:
            InvalidRequest: naming the field, the problem and the fix.
            BrokenTemplate: SageMaker would refuse every request with the template.
        """
        template, name = self._template(request), self.template_name(request)
        try:
            return build(
                request,
                team,
                template,
                self.deployment.guardrails,
                self.environment,
                image=self._image(name, template),
                template_name=name,
                limits=self.deployment.limits,
                parents=parents,
                resumption=resumption,
                team_guardrails=self.deployment.team_guardrails(team),
                target_guardrails=self.deployment.targets[self.target].guardrails,
                teams=self.deployment.teams,
                copies=self.copies,
            )
        except InvalidRequest:
            if template is not NO_TEMPLATE:
                _raise_if_broken(name, template)
            raise

    def _team(self, team: str) -> TeamSettings:
        return self.deployment.teams.get(team, _NO_SETTINGS)

    def template_name(self, request: TuningRequest) -> str:
        """Return the name of a request's template, by default the deployment's.

        A request in API form has none: an empty name.
        """
        if request.api_request is not None:
            return ""
        return request.template or self.deployment.default_template

    def _template(self, request: TuningRequest) -> Template:
        if request.api_request is not None:
            return NO_TEMPLATE
        name = self.template_name(request)
        if name in self.broken_templates:
            raise BrokenTemplate(name, self.broken_templates[name])
        if name not in self.templates:
            known = ", ".join(sorted(self.templates))
            raise InvalidRequest("template", f"unknown template {name!r}", f"Use one of {known}")
        return self.templates[name]

    def _image(self, name: str, template: Template) -> Image:
        if isinstance(template.image, FrameworkImage):
            return partial(_framework_image, self.images, name, template, template.image)
        return template.image


def _elsewhere(target: str, error: InvalidRequest) -> InvalidRequest:
    """Return the problem of a request on one target."""
    if target == HOME:
        return error
    problem = f"{target} cannot run it: {error.field}: {error.problem}"
    return InvalidRequest("targets", problem, f"Leave out {target}, or: {error.fix}")


def _check_name(team: str, request_id: str, teams: Iterable[str]) -> None:
    """Check that the name of a tuning job does not begin as those of another team.

    Policies tell whose a log is by this name, because log streams have no tags.
    """
    if prefix := claimed_by(team, request_id, teams):
        problem = f"the tuning job's name would begin with {prefix}, as those of another team"
        raise InvalidRequest("request_id", problem, "Choose another request id")


def _framework_image(
    images: Images, name: str, template: Template, image: FrameworkImage, instance_type: str
) -> str:
    """Return an image's URI for an instance type, which the template or the message names.

    Raises:
        BrokenTemplate: there is no image for an instance type of the template.
        InvalidRequest: there is none for an instance type of the message.
    """
    try:
        return images.uri(image, instance_type)
    except InvalidSettings as error:
        resources = (each.get("ResourceConfig", {}) for each in definitions(template.tuning_job))
        if instance_type in {each.get("InstanceType") for each in resources}:
            raise BrokenTemplate(name, error.problem) from None
        raise InvalidRequest(
            "TrainingJobDefinition.ResourceConfig.InstanceType",
            f"{instance_type}: {error.problem}",
            "Use another instance type, or set AlgorithmSpecification.TrainingImage in overrides",
        ) from None


# An environment for requests that are only checked.
_ANYWHERE = Environment(
    deployment="any",
    ledger_table="any",
    artifact_bucket="any-bucket",
    training_role_arn="arn:aws:iam::111122223333:role/any",
    training_source="s3://any-bucket/any.tar.gz",
    region="us-east-1",
)


def _raise_if_broken(name: str, template: Template) -> None:
    """Raise ``BrokenTemplate`` if SageMaker would refuse every request with a template."""
    try:
        check_template(name, template)
    except InvalidSettings as problem:
        raise BrokenTemplate(name, str(problem)) from None


def check_template(name: str, template: Template) -> None:
    """Check that a request that only names ranges becomes a tuning job with this template.

    Raises:
        InvalidSettings: SageMaker would refuse every request with the template.
    """
    image = template.image if isinstance(template.image, str) else template.image.framework
    searched: dict[str, Any] = {"type": "continuous", "min": 0, "max": 1}
    config = template.tuning_job.get("HyperParameterTuningJobConfig", {})
    if GRID in (template.request.get("strategy"), config.get("Strategy")):
        searched = {"type": "categorical", "values": [0]}
    ranges = template.request.get(RANGES, {"any": searched})
    fields: dict[str, Any] = {"request_id": "any", RANGES: ranges}
    if "objective" not in template.request:
        fields["objective"] = {"metric": "any", "type": "Maximize"}
    request = TuningRequest.model_validate(fields)
    try:
        # No guardrails: the settings may open what the template reads.
        build(request, "any", template, None, _ANYWHERE, image=image, limits=Limits())
    except InvalidRequest as error:
        left_to_messages = {"overrides.TrainingJobDefinition.ResourceConfig", HYPERBAND}
        if "objective" not in template.request:
            left_to_messages.add("objective.metric")
        if error.field in left_to_messages:
            return
        place = error.field.removeprefix("overrides.")
        raise InvalidSettings(f"template {name}: {place}", error.problem, error.fix) from None


def _waits_for(request: TuningRequest) -> str:
    parents = dict.fromkeys((*request.after, *request.warm_start_from))
    return f"waits for {', '.join(parents)} to end" if parents else ""
