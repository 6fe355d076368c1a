"""The limits of the account that ``hpoq campaign plan`` plans within."""

from __future__ import annotations

from typing import Any

from hpoq.cli.options import client
from hpoq.cli.output import say


def account_limits(instance_type: str, deployment: str) -> dict[str, int]:
    """Return the limits read from the account, and print them."""
    import boto3

    from hpoq.campaign.planning.account_limits import limits_of

    limits = limits_of(boto3.Session(), instance_type, client(deployment))
    for name, value in limits.items():
        say(f"limit read from the account: {name}={value}")
    return limits


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
