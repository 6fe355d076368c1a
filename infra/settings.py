"""The settings of a deployment, from the context of cdk.json or ``cdk deploy -c key=value``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from aws_cdk import RemovalPolicy
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import (
    LEAST_FINISHED_DAYS,
    Deployment,
    Guardrails,
    Limits,
    TeamSettings,
)
from hpo_dispatcher.contract.validation import first_problem

__all__ = [
    "Guardrails",
    "Settings",
    "TeamSettings",
    "output_name",
    "read_settings",
    "removal_policy",
]


class Settings(BaseModel):
    """The settings of a deployment; each is a context key of the same name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The prefix of every physical name, and the name of the stack.
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")] = "hpoq"
    # The teams that may send requests, and the settings of each: {"fraud": {"weight": 2}}.
    teams: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    # Concurrent tuning jobs, creations per second, instances per type.
    limits: dict[str, Any] = {}
    # Limits that no message can exceed.
    guardrails: dict[str, Any] = {}
    # The template of a message that does not name one.
    default_template: str = "credit-default-cpu"
    # USD per hour of one training instance, by type: {"ml.m5.xlarge": 0.23}. `hpoq submit` uses
    # them to estimate costs; hpoq has no built-in prices.
    prices: dict[str, float] = {}
    # Days after which a request that has ended leaves the ledger, for example 365. Not set: the
    # ledger keeps all requests.
    finished_requests_days: Annotated[int, Field(ge=LEAST_FINISHED_DAYS)] | None = None
    # The Python version of the dispatcher and its layer. Versions other than 3.13 are for the
    # embedded cloud on machines without Python 3.13.
    python_version: Annotated[str, Field(pattern=r"^3\.1[1-4]$")] = "3.13"
    # Memory of the dispatcher function.
    memory_mb: Annotated[int, Field(ge=256, le=10_240)] = 1024
    # 1 also prevents concurrent cycles by Lambda, in addition to the lease in the ledger. The
    # concurrency limit of a new account is 10, which leaves nothing to reserve.
    reserved_concurrency: Annotated[int, Field(ge=1, le=1)] | None = None
    # How long CloudWatch keeps the dispatcher's log.
    log_retention_days: Annotated[int, Field(ge=1)] = 90
    # Whether to keep the ledger and the artifact bucket when the stack is destroyed.
    retain_data: bool = True
    # An email address to subscribe to the alarm topic.
    alarm_email: str | None = None
    # The alarm `oldest-request` fires when a request has been queued for longer.
    oldest_request_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 24
    # The path or URL of docs/runbook.md that alarm descriptions refer to.
    runbook: str = "docs/runbook.md"
    # The ARN of a customer managed key for queues, ledger, bucket, logs and topics, and for
    # training volumes and output unless the guardrails name other keys. docs/security.md lists
    # what the key policy must allow.
    kms_key_arn: Annotated[str, Field(pattern=r"^arn:[a-z-]+:kms:.+:key/.+$")] | None = None
    # The ARN of the key of the bootstrap bucket, if `cdk bootstrap` was given a customer managed
    # key: training jobs fetch the bundled scripts from that bucket.
    bootstrap_kms_key_arn: Annotated[str, Field(pattern=r"^arn:[a-z-]+:kms:.+:key/.+$")] | None = (
        None
    )

    @property
    def deployment(self) -> dict[str, Any]:
        """The settings that are deployed with the function, as JSON values."""
        return {
            "teams": self.teams,
            "limits": self.limits,
            "guardrails": self._keys() | self.guardrails,
            "default_template": self.default_template,
            "prices": self.prices,
            "finished_requests_days": self.finished_requests_days,
        }

    @property
    def tuning_job_limit(self) -> int:
        """The number of tuning jobs that may run concurrently."""
        return Limits.model_validate(self.limits).tuning_jobs

    def team(self, name: str) -> TeamSettings:
        """Return the settings of one team."""
        return TeamSettings.model_validate(self.teams[name])

    @property
    def rules(self) -> Guardrails:
        """The guardrails as the dispatcher applies them."""
        return Guardrails.model_validate(self.deployment["guardrails"])

    def _keys(self) -> dict[str, str]:
        """Return the guardrails by which the customer key also encrypts volumes and models."""
        key = self.kms_key_arn
        return {"volume_kms_key": key, "output_kms_key": key} if key else {}


def read_settings(context: Callable[[str], Any]) -> Settings:
    """Collect and validate the settings.

    Args:
        context: looks up one context key; returns None if it is not set.

    Raises:
        InvalidSettings: a setting is invalid; names the key, the problem and the fix.
    """
    values = {key: _value(context, key) for key in Settings.model_fields}
    given = {key: value for key, value in values.items() if value is not None}
    if values.get("reserved_concurrency") == "none":
        given["reserved_concurrency"] = None
    try:
        settings = Settings.model_validate(given)
        Deployment.model_validate(settings.deployment)
        _reject_ambiguous_names(settings.teams)
    except ValidationError as error:
        known = {
            field
            for model in (Settings, Deployment, Guardrails, Limits, TeamSettings)
            for field in model.model_fields
        }
        wrong = first_problem(error, given, known)
        raise InvalidSettings(wrong.field, wrong.problem, wrong.fix) from None
    return settings


def removal_policy(*, retain: bool) -> RemovalPolicy:
    """Return what becomes of data when its resource is removed from the stack.

    Data that is retained survives updates and deletions of the stack, but not a failed creation:
    the names are fixed, and a table that a failed first deployment left would fail the next one.
    """
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if retain else RemovalPolicy.DESTROY


def output_name(team: str) -> str:
    """Return a team's name in PascalCase, for outputs and logical ids."""
    return "".join(part.capitalize() for part in team.split("-"))


def _reject_ambiguous_names(teams: Iterable[str]) -> None:
    """Reject two teams whose names differ only in hyphens and so share logical ids."""
    by_name: dict[str, str] = {}
    for team in teams:
        other = by_name.setdefault(output_name(team), team)
        if other != team:
            problem = f"differs from {other} only in hyphens"
            raise InvalidSettings(f"teams.{team}", problem, "Choose another name")


def _value(context: Callable[[str], Any], key: str) -> Any:
    """Read a context value; text from the command line is parsed as JSON if it is JSON."""
    value = context(key)
    if not isinstance(value, str) or key in ("name", "python_version", "default_template"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
