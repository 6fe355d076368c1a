"""The limits of the account, or of several targets, read where they can be reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.botocore_config import QUICK
from hpoq.campaign.api_form import CONFIG
from hpoq.campaign.errors import InvalidPlan
from hpoq.errors import NotDeployed, NotReachable

if TYPE_CHECKING:
    import boto3

    from hpoq.client import Client


def instance_quota(session: boto3.Session, instance_type: str) -> int | None:
    """Return how many training instances of a type the account may use; None if that is unknown.

    Their quota and the quota of all training instances bind. Quotas are found by name because quota
    codes differ by instance type.
    """
    wanted = {aws_limits.quota_of(each) for each in (instance_type, aws_limits.ALL_INSTANCES)}
    found: list[int] = []
    try:
        pages = session.client("service-quotas", config=QUICK).get_paginator("list_service_quotas")
        for page in pages.paginate(ServiceCode=aws_limits.QUOTA_SERVICE):
            found += [int(each["Value"]) for each in page["Quotas"] if each["QuotaName"] in wanted]
    except (ClientError, BotoCoreError):
        return None
    return min(found, default=None)


def deployment_limits(client: Client) -> dict[str, int]:
    """Return the limits in the settings of a deployment; empty without a deployment."""
    try:
        limits = client.settings.deployment.limits
    except (NotDeployed, NotReachable):
        return {}
    return {
        "tuning_jobs": limits.tuning_jobs,
        "parallel_training_jobs": limits.parallel_training_jobs,
        "training_jobs_random": limits.random_training_jobs,
    }


def limits_of(
    session: boto3.Session,
    instance_type: str,
    client: Client | None = None,
    targets: Sequence[str] = (HOME,),
    instances_per_trial: int = 1,
) -> dict[str, Any]:
    """Return the fields of ``AccountLimits`` that could be read from the account.

    Args:
        session: of the account.
        instance_type: of the training jobs.
        client: of the deployment; None: there is none.
        targets: the targets on which the campaign may run.
        instances_per_trial: the instances of a training job.
    """
    of_deployment = deployment_limits(client) if client else {}
    if client is None or not of_deployment or tuple(targets) == (HOME,):
        instances = instance_quota(session, instance_type)
        return ({"instances": instances} if instances else {}) | of_deployment
    found = [_limits_on(client, target, session, instance_type) for target in targets]
    parallel = of_deployment["parallel_training_jobs"]
    return of_deployment | over_targets(found, parallel, instances_per_trial)


def targets_of_campaign(
    client: Client, team: str, requests: Iterable[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return the targets on which all models of a campaign may run: where their data can be read.

    Raises:
        InvalidPlan: there is none.
        InvalidRequest: the dispatcher would reject a request.
    """
    from hpoq.preview import targets_of

    found = [targets_of(client.settings, team, _complete(each)) for each in requests]
    first, *others = found
    shared = tuple(each for each in first if all(each in other for other in others))
    if not shared:
        raise InvalidPlan("targets: the models have none in common. Plan each model by itself")
    return shared


@dataclass(frozen=True, kw_only=True)
class TargetLimits:
    """What a campaign may use of one target."""

    tuning_jobs: int
    instances: int | None  # of the campaign's type; None: unknown

    def lanes(self, width: int) -> int:
        """Return how many tuning jobs of so many instances run there at once."""
        if self.instances is None:
            return self.tuning_jobs
        return min(self.tuning_jobs, self.instances // width)


def over_targets(
    found: Sequence[TargetLimits], parallel: int, instances_per_trial: int
) -> dict[str, int]:
    """Return the limits of a campaign over targets, so that every tuning job fits on one of them.

    The instances left over on two targets cannot run one tuning job. So all tuning jobs get the
    width with which the targets run the most trials at once, of equals the largest.

    Args:
        found: the limits of each target.
        parallel: the most training jobs that a tuning job may run at once.
        instances_per_trial: the instances of a training job.
    """

    def lanes(width: int) -> int:
        return sum(each.lanes(width * instances_per_trial) for each in found)

    width = max(range(1, parallel + 1), key=lambda width: (width * lanes(width), width))
    limits = {
        "targets": len(found),
        "tuning_jobs": max(1, lanes(width)),
        "parallel_training_jobs": width,
    }
    if all(each.instances is None for each in found):
        return limits
    return limits | {"instances": max(1, width * lanes(width) * instances_per_trial)}


def _limits_on(
    client: Client, target: str, session: boto3.Session, instance_type: str
) -> TargetLimits:
    deployment = client.settings.deployment
    if target == HOME:
        return TargetLimits(
            tuning_jobs=deployment.limits.tuning_jobs,
            instances=instance_quota(session, instance_type),
        )
    settings = deployment.targets[target]
    instances = settings.instances.get(instance_type)
    if instances is None:
        try:
            instances = instance_quota(client.session_on(target), instance_type)
        except NotReachable:
            instances = None
    if instances is not None:
        instances = max(0, instances - settings.headroom.get(instance_type, 0))
    return TargetLimits(tuning_jobs=settings.tuning_jobs, instances=instances)


def _complete(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a campaign's request with the fields that the plan sets."""
    api_request = request.get("api_request")
    if not isinstance(api_request, Mapping):
        return dict(request)
    limits = {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}
    config = {**api_request.get(CONFIG, {}), "ResourceLimits": limits}
    return {**request, "api_request": {**api_request, CONFIG: config}}
