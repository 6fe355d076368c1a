"""Settings of a deployment, from the context of cdk.json or ``cdk deploy -c key=value``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import Deployment, Guardrails, Limits, TeamSettings
from hpo_dispatcher.contract.validation import first_problem

__all__ = ["Guardrails", "Settings", "TeamSettings", "output_name", "read_settings"]


class Settings(BaseModel):
    """What DevOps may set; every key is a context key of the same name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Prefix of every physical name, and the stack's name.
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")] = "hpoq"
    # Who may send requests, and how each shares the account: {"fraud": {"weight": 2}}.
    teams: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    # Tuning jobs at once, creates per second, instances per type.
    limits: dict[str, Any] = {}
    # What no message can widen.
    guardrails: dict[str, Any] = {}
    # Used by a message that names no template.
    default_template: str = "credit-default-cpu"
    # USD an hour of one training instance, by type: {"ml.m5.xlarge": 0.23}. For estimates at
    # `hpoq submit`; hpoq knows no prices of its own.
    prices: dict[str, float] = {}
    # The dispatcher's runtime. Another than 3.13 is for the embedded cloud on a machine
    # without that interpreter; the layer is built for the same version.
    python_version: Annotated[str, Field(pattern=r"^3\.1[1-4]$")] = "3.13"
    memory_mb: Annotated[int, Field(ge=256, le=10_240)] = 1024
    # A second fence against two cycles at once; null where the account cannot reserve any.
    reserved_concurrency: Annotated[int, Field(ge=1, le=1)] | None = 1
    log_retention_days: Annotated[int, Field(ge=1)] = 90
    # Keep the ledger and the artifacts when the stack is destroyed.
    retain_data: bool = True
    # Where alarms go, besides the SNS topic.
    alarm_email: str | None = None
    # How long a request may be in line before the alarm oldest-request rings.
    oldest_request_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 24
    # Where the alarms send whoever is on call: a path or a URL of docs/runbook.md.
    runbook: str = "docs/runbook.md"
    # ARN of a customer managed key for queues, ledger, bucket, logs and topic, and for training
    # volumes and output unless the guardrails name other keys. See docs/security.md for what
    # the key's own policy has to allow.
    kms_key_arn: Annotated[str, Field(pattern=r"^arn:[a-z-]+:kms:.+:key/.+$")] | None = None

    @property
    def deployment(self) -> dict[str, Any]:
        """The part that travels with the function, as JSON values."""
        return {
            "teams": self.teams,
            "limits": self.limits,
            "guardrails": self._keys() | self.guardrails,
            "default_template": self.default_template,
            "prices": self.prices,
        }

    @property
    def tuning_job_limit(self) -> int:
        """Tuning jobs of the account at once."""
        return Limits.model_validate(self.limits).tuning_jobs

    def team(self, name: str) -> TeamSettings:
        """One team's settings."""
        return TeamSettings.model_validate(self.teams[name])

    @property
    def rules(self) -> Guardrails:
        """The guardrails, as the dispatcher will apply them."""
        return Guardrails.model_validate(self.deployment["guardrails"])

    def _keys(self) -> dict[str, str]:
        """A customer key reaches as far as the training jobs' disks and models."""
        key = self.kms_key_arn
        return {"volume_kms_key": key, "output_kms_key": key} if key else {}


def read_settings(context: Callable[[str], Any]) -> Settings:
    """Collect and check the settings.

    Args:
        context: looks up one context key; raises or returns None where it is not set.

    Raises:
        InvalidSettings: naming the key, the problem and the fix.
    """
    values = {key: _value(context, key) for key in Settings.model_fields}
    given = {key: value for key, value in values.items() if value is not None}
    if values.get("reserved_concurrency") == "none":
        given["reserved_concurrency"] = None
    try:
        settings = Settings.model_validate(given)
        Deployment.model_validate(settings.deployment)
        _no_name_twice(settings.teams)
    except ValidationError as error:
        known = {
            field
            for model in (Settings, Deployment, Guardrails, Limits, TeamSettings)
            for field in model.model_fields
        }
        wrong = first_problem(error, given, known)
        raise InvalidSettings(wrong.field, wrong.problem, wrong.fix) from None
    return settings


def output_name(team: str) -> str:
    """A team's name in PascalCase, as it appears in outputs and logical ids."""
    return "".join(part.capitalize() for part in team.split("-"))


def _no_name_twice(teams: Iterable[str]) -> None:
    """Two teams whose names differ in hyphens alone would share their resources' names."""
    by_name: dict[str, str] = {}
    for team in teams:
        other = by_name.setdefault(output_name(team), team)
        if other != team:
            problem = f"differs from {other} in hyphens alone"
            raise InvalidSettings(f"teams.{team}", problem, "Choose another name")


def _value(context: Callable[[str], Any], key: str) -> Any:
    """A context value; the command line gives text, JSON where it is meant as such."""
    value = context(key)
    if not isinstance(value, str) or key in ("name", "python_version", "default_template"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
