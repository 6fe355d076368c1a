"""The limits of the account that ``hpoq campaign plan`` plans within."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpoq.cli.options import client, one_team
from hpoq.cli.output import say

if TYPE_CHECKING:
    from hpoq.client import Client


def account_limits(
    instance_type: str,
    deployment: str,
    team: str | None,
    requests: Sequence[Mapping[str, Any]],
    instances_per_trial: int,
) -> dict[str, int]:
    """Return the limits read from the account, or from all targets, and print them."""
    import boto3

    from hpoq.campaign.planning.account_limits import limits_of

    of = client(deployment)
    targets = _targets(of, team, requests)
    limits = limits_of(boto3.Session(), instance_type, of, targets, instances_per_trial)
    if len(targets) > 1:
        say(f"the campaign may run on {', '.join(targets)}: their limits are added up")
    for name, value in limits.items():
        say(f"limit read from the account: {name}={value}")
    return limits


def _targets(
    of: Client, team: str | None, requests: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return the targets on which a campaign may run; home alone without a deployment."""
    from hpo_dispatcher.contract.targets.resources import HOME
    from hpoq.campaign.planning.account_limits import targets_of_campaign
    from hpoq.errors import NotDeployed, NotReachable

    try:
        several = len(of.settings.deployment.targets) > 1
    except (NotDeployed, NotReachable):
        return (HOME,)
    return targets_of_campaign(of, one_team(team, of), requests) if several else (HOME,)


def given_limits(given: list[str], search: str) -> dict[str, int]:
    """Return the limits that the user gives.

    Raises:
        InvalidPlan: one is not a name and a number, or more than SageMaker allows.
    """
    from hpoq.campaign.errors import InvalidPlan

    found: dict[str, int] = {}
    for each in given:
        name, _, value = each.partition("=")
        if not value.isdecimal():
            raise InvalidPlan(f"--limit {each}: write NAME=NUMBER, such as instances=40")
        found |= _limit(name, int(value), search)
    return found


def search_of(message: dict[str, Any]) -> str:
    """Return the strategy of a request that is not checked yet."""
    config: Any = message.get("api_request", {})
    if isinstance(config, dict) and config:
        config = config.get("HyperParameterTuningJobConfig", {})
        return str(config.get("Strategy")) if isinstance(config, dict) else ""
    return str(message.get("strategy"))


def _limit(name: str, value: int, search: str) -> dict[str, int]:
    """Return a given limit; more than 750 training jobs are possible with Random only."""
    from hpo_dispatcher.contract import aws_limits
    from hpoq.campaign.errors import InvalidPlan

    if name != "training_jobs" or value <= aws_limits.TRAINING_JOBS:
        return {name: value}
    if search != "Random":
        raise InvalidPlan(
            f"--limit training_jobs={value}: SageMaker allows more than "
            f"{aws_limits.TRAINING_JOBS} training jobs in a tuning job with Random only. Leave it "
            "out: the plan uses several tuning jobs"
        )
    return {"training_jobs_random": value}
