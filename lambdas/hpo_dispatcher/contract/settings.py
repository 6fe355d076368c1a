"""The settings that DevOps chooses: teams, limits and guardrails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.guardrails import Guardrails, Vpc
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.targets.settings import TargetSettings, check_targets
from hpo_dispatcher.contract.validation.problems import Vocabulary, first_problem, wrong
from hpo_dispatcher.contract.validation.settings_model import (
    SettingsModel,
    check_instance_types,
    check_instances,
)
from hpo_dispatcher.contract.validation.texts import Twice, read_json
from hpo_dispatcher.contract.validation.values import (
    EmailAddress,
    PipelinePattern,
    StateMachinePattern,
    TargetName,
    TeamName,
)
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind

__all__ = [
    "Deployment",
    "Guardrails",
    "Limits",
    "SettingsModel",
    "TargetSettings",
    "TeamSettings",
    "Vpc",
    "WorkflowSettings",
    "invalid_settings",
    "parse_deployment",
    "parse_model",
    "parse_value",
    "read_deployment",
]

_Model = TypeVar("_Model", bound=BaseModel)
# A message lives 14 days in the request queue and 14 days in the dead-letter queue. Until then a
# repeated message must find its request.
LEAST_FINISHED_DAYS = 30
DEPLOYMENT_FILE = "deployment.json"


class Limits(SettingsModel):
    """The limits on concurrent use of the account, and on the rate of API calls."""

    # The most tuning jobs at a time, those that others created included. A lower number leaves
    # some to them.
    tuning_jobs: Annotated[int, Field(ge=1, le=aws_limits.TUNING_JOBS)] = aws_limits.TUNING_JOBS
    # Training jobs that one tuning job may run in parallel. Raise it once AWS has raised the quota
    # "Number of parallel training jobs per hyperparameter tuning job".
    parallel_training_jobs: Annotated[int, Field(ge=1, le=aws_limits.PARALLEL_TRAINING_JOBS)] = (
        aws_limits.DEFAULT_PARALLEL_TRAINING_JOBS
    )
    # Training jobs of one tuning job with the strategy Random, those of its warm start parents
    # included. Raise it once AWS has raised the quota "[Random search] Number of training jobs per
    # hyperparameter tuning job".
    random_training_jobs: Annotated[int, Field(ge=1, le=aws_limits.TRAINING_JOBS_RANDOM)] = (
        aws_limits.DEFAULT_TRAINING_JOBS_RANDOM
    )
    # Tuning jobs that the dispatcher creates per second, on each target.
    creates_per_second: Annotated[float, Field(gt=0, le=100)] = 5.0
    # Tuning jobs that it creates at once before that rate applies, to fill an empty account.
    creates_at_once: Annotated[int, Field(ge=1, le=aws_limits.TUNING_JOBS)] = 5
    # Hours after which what a team has used counts half for its turn. 0: only present use counts.
    usage_half_life_hours: Annotated[float, Field(ge=0)] = 24.0
    # Training instances; replace the quotas that Service Quotas reports. By type for on-demand
    # ("ml.m5.large") and for spot ("ml.m5.large (spot)"), and over all types ("all training
    # instances", "all spot training instances").
    instances: dict[str, Annotated[int, Field(ge=0)]] = {}
    # Training instances, by the same names, that are left to other users of the account.
    headroom: dict[str, Annotated[int, Field(ge=0)]] = {}

    @field_validator("instances", "headroom")
    @classmethod
    def _of_known_types(cls, instances: dict[str, int]) -> dict[str, int]:
        check_instances(instances)
        return instances

    def training_jobs(self, strategy: str) -> int:
        """Return how many training jobs a tuning job may have, those of its parents included."""
        return self.random_training_jobs if strategy == "Random" else aws_limits.TRAINING_JOBS


class TeamSettings(SettingsModel):
    """One team's share of the account."""

    # The weight of the team when several want the same: a team of weight 2 gets twice as much as
    # one of weight 1.
    weight: Annotated[float, Field(gt=0)] = 1.0
    # The part of each resource that the team can count on.
    guaranteed_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    # The most that the team may use of each resource.
    ceiling: Annotated[float, Field(gt=0, le=1)] = 1.0
    # How much of the guaranteed share other teams may use while it is idle. Not set: all of it.
    lend: Annotated[float, Field(ge=0, le=1)] | None = None
    # How far the team may exceed its guaranteed share. Not set: up to the ceiling.
    borrow: Annotated[float, Field(ge=0, le=1)] | None = None
    # Whether running requests may be preempted and resumed later: by another team that reclaims its
    # guaranteed share, or by a request of the same team with a higher priority.
    preemptible: bool = False
    # The highest priority of the team's requests. A higher priority in a message is lowered to it.
    priority_cap: Annotated[int, Field(ge=-1000, le=1000)] | None = None
    # How many minutes of waiting count as much as one level of priority. Not set: a higher priority
    # always starts first. Applies to the requests that are accepted from then on.
    priority_aging_minutes: Annotated[int, Field(ge=1, le=10_080)] | None = None
    # Whether the team has an SNS topic that receives every state change of its requests.
    notify: bool = False
    # Email addresses to subscribe to that topic, which the team then has in any case.
    notify_emails: tuple[EmailAddress, ...] = ()
    # Training instance-hours per calendar month (UTC). Requests that would exceed them wait.
    monthly_instance_hours: Annotated[float, Field(ge=0)] | None = None
    # The targets on which requests of the team run that name none, each where its data can be read.
    # Not set: home. docs/targets.md describes targets.
    targets: tuple[TargetName, ...] = Field(default=(), exclude_if=lambda targets: not targets)
    # Guardrails of this team, besides the deployment's. The team's prefixes are open in addition to
    # the deployment's; its network and keys replace the deployment's; of limits, both apply.
    guardrails: Guardrails | None = None

    @property
    def most(self) -> float:
        """The largest share of any resource that the team may use."""
        borrowed = 1.0 if self.borrow is None else self.borrow
        return min(self.ceiling, self.guaranteed_share + borrowed)

    @property
    def lends(self) -> float:
        """The share of each resource that other teams may borrow while it is idle."""
        return self.guaranteed_share if self.lend is None else self.lend

    def capped(self, priority: int) -> int:
        """Return a priority, lowered to the team's cap."""
        return priority if self.priority_cap is None else min(priority, self.priority_cap)

    @model_validator(mode="after")
    def _consistent(self) -> TeamSettings:
        guaranteed = self.guaranteed_share
        if self.ceiling < guaranteed:
            problem = f"the ceiling {self.ceiling:g} is below the guaranteed share {guaranteed:g}"
            wrong(problem, "Raise the ceiling or lower the guaranteed share")
        if self.lends > guaranteed:
            problem = f"lend {self.lends:g} exceeds the guaranteed share {guaranteed:g}"
            wrong(problem, "Lend at most the guaranteed share")
        if self.most == 0:
            wrong(
                "guaranteed_share and borrow are both 0, so the team could start nothing",
                "Raise one of them",
            )
        return self


class WorkflowSettings(SettingsModel):
    """The workflows that may wait for requests. Without any, messages with a token are rejected.

    Names are those in the account and Region of the deployment; ``*`` stands for any characters.
    """

    # Names of the state machines of Step Functions whose tasks the dispatcher may answer.
    state_machines: tuple[StateMachinePattern, ...] = ()
    # Names of the SageMaker pipelines whose callback steps the dispatcher may answer.
    pipelines: tuple[PipelinePattern, ...] = ()

    @property
    def any(self) -> bool:
        """Whether any workflow may wait."""
        return bool(self.state_machines or self.pipelines)

    def permits(self, callback: Callback) -> bool:
        """Return whether the dispatcher may answer a step, as far as its message tells.

        The message of Step Functions does not name the state machine; IAM decides on it. An ARN
        has the name of a pipeline in lower case.
        """
        if callback.kind is CallbackKind.STEP_FUNCTIONS:
            return bool(self.state_machines)
        name = callback.pipeline.lower()
        return any(fnmatchcase(name, pattern.lower()) for pattern in self.pipelines)


class Deployment(SettingsModel):
    """The settings that are fixed when the stack is synthesized."""

    teams: Annotated[dict[TeamName, TeamSettings], Field(min_length=1)]
    limits: Limits = Limits()
    default_template: str = "credit-default-cpu"
    guardrails: Guardrails = Guardrails()
    workflows: WorkflowSettings = WorkflowSettings()
    # Not in the settings document of a deployment without targets, so that earlier clients read it.
    targets: dict[TargetName, TargetSettings] = Field(
        default={HOME: TargetSettings()}, exclude_if=lambda targets: len(targets) == 1
    )
    # USD per instance-hour by instance type, for estimates only. Unknown unless set here.
    prices: dict[str, Annotated[float, Field(ge=0)]] = {}
    # Days after which a request that has ended leaves the ledger. None: never.
    finished_requests_days: Annotated[int, Field(ge=LEAST_FINISHED_DAYS)] | None = None

    @field_validator("prices")
    @classmethod
    def _of_known_types(cls, prices: dict[str, float]) -> dict[str, float]:
        check_instance_types(prices)
        return prices

    def team_guardrails(self, team: str) -> Guardrails | None:
        """Return the guardrails of a team, besides the deployment's; None if it has none."""
        known = self.teams.get(team)
        return known.guardrails if known else None

    def opened_for(self, team: str) -> Guardrails:
        """Return the guardrails with what the settings open to a team."""
        return self.guardrails.opened_for(self.team_guardrails(team))

    def targets_for(self, team: str) -> tuple[str, ...]:
        """Return the targets that a team may use, in their order in the settings."""
        return tuple(name for name, each in self.targets.items() if each.admits(team))

    @property
    def keep_finished(self) -> timedelta | None:
        """How long the ledger keeps a request that has ended; None: forever."""
        days = self.finished_requests_days
        return None if days is None else timedelta(days=days)

    @model_validator(mode="after")
    def _targets_fit(self) -> Deployment:
        check_targets(self.targets, self.guardrails, self.teams)
        for team, settings in self.teams.items():
            for name in settings.targets:
                if name not in self.targets_for(team):
                    problem = f"team {team} may not use a target {name!r}"
                    fix = f"Use {' or '.join(self.targets_for(team)) or 'other targets'}"
                    wrong(problem, fix, field=f"teams.{team}.targets")
        return self

    @model_validator(mode="after")
    def _guarantees_can_be_kept(self) -> Deployment:
        total = sum(team.guaranteed_share for team in self.teams.values())
        if total > 1 + 1e-9:
            problem = f"the guaranteed shares of all teams add up to {total:g}"
            wrong(problem, "Lower them to a total of at most 1", field="teams")
        return self


def read_deployment(path: Path) -> Deployment:
    """Read ``deployment.json``.

    Raises:
        InvalidSettings: naming the key, the problem and the fix.
    """
    try:
        fields = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidSettings(str(path.name), f"cannot be read ({error})", "Deploy again") from None
    return parse_deployment(fields)


def parse_deployment(fields: Mapping[str, Any]) -> Deployment:
    """Parse settings that are already a mapping; see ``read_deployment``."""
    return parse_model(Deployment, fields, "settings")


def parse_value(key: str, text: str) -> Any:
    """Return the value of a setting as JSON; text that is not JSON is returned unchanged.

    Raises:
        InvalidSettings: a name appears twice in one object.
    """
    try:
        return read_json(text)
    except Twice as error:
        raise InvalidSettings(key, f"{error.name!r} appears twice", "Remove one of them") from None
    except (ValueError, RecursionError):
        return text


_MODELS: tuple[type[BaseModel], ...] = (
    Deployment, TeamSettings, Limits, Guardrails, Vpc, WorkflowSettings, TargetSettings,
)  # fmt: skip
VOCABULARY = Vocabulary(
    kind="setting",
    names=frozenset(field for model in _MODELS for field in model.model_fields),
    remove="Remove it; docs/operations.md lists all settings",
    reference="docs/operations.md describes all settings",
)


def parse_model(
    model: type[_Model], fields: Mapping[str, Any], what: str, known: Vocabulary = VOCABULARY
) -> _Model:
    """Parse a model of settings from a mapping.

    Raises:
        InvalidSettings: naming ``what`` and the first wrong key, the problem and the fix.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise invalid_settings(error, fields, known, f"{what}: ") from None


def invalid_settings(
    error: ValidationError, fields: Mapping[str, Any], known: Vocabulary, where: str = ""
) -> InvalidSettings:
    """Return the first problem of settings or of a template.

    Args:
        error: the error that Pydantic raised.
        fields: the settings as given.
        known: the names that may be suggested.
        where: what to put before the key.
    """
    found = first_problem(error, fields, known)
    return InvalidSettings(f"{where}{found.field}", found.problem, found.fix)
