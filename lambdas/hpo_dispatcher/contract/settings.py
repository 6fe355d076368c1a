"""What DevOps decides: teams, limits, guardrails and job templates, read and checked once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest, InvalidSettings
from hpo_dispatcher.contract.validation import first_problem, wrong

TEAM_PATTERN = r"^[a-z][a-z0-9-]{0,19}$"
TeamName = Annotated[str, Field(pattern=TEAM_PATTERN)]

_Model = TypeVar("_Model", bound=BaseModel)

# The one in C reads templates ten times as fast, at every cold start.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEPLOYMENT_FILE = "deployment.json"
TEMPLATES_DIRECTORY = Path(__file__).parents[1] / "templates"


class _Settings(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class TeamSettings(_Settings):
    """How one team shares the account."""

    weight: Annotated[float, Field(gt=0)] = 1.0  # matters under contention only
    guaranteed_share: Annotated[float, Field(ge=0, le=1)] = 0.0  # of each resource; goes first
    ceiling: Annotated[float, Field(gt=0, le=1)] = 1.0  # of each resource; never more
    # Of each resource, how much of the guaranteed share others may use while it is idle; all of it
    # unless set.
    lend: Annotated[float, Field(ge=0, le=1)] | None = None
    # Of each resource, how far beyond the guaranteed share the team may go; up to the ceiling
    # unless set.
    borrow: Annotated[float, Field(ge=0, le=1)] | None = None
    # Whether running requests may be stopped to make room, and go on later from what they finished:
    # for another team whose guarantee covers what it asks for, or for a higher priority of its own.
    preemptible: bool = False
    # The highest priority a request can have; a message that asks for more gets this one.
    priority_cap: Annotated[int, Field(ge=-1000, le=1000)] | None = None
    # An SNS topic of the team's own, told of each change of state of its requests.
    notify: bool = False
    notify_emails: tuple[str, ...] = ()  # subscribed to it; any address makes the topic
    # Training instance-hours of a calendar month (UTC); what would exceed them waits.
    monthly_instance_hours: Annotated[float, Field(ge=0)] | None = None

    @property
    def most(self) -> float:
        """The largest share of any resource the team may hold."""
        borrowed = 1.0 if self.borrow is None else self.borrow
        return min(self.ceiling, self.guaranteed_share + borrowed)

    @property
    def lends(self) -> float:
        """The share of its guarantee that others may use while it is idle."""
        return self.guaranteed_share if self.lend is None else self.lend

    def capped(self, priority: int) -> int:
        """The priority that a request of the team can have of what it asks for."""
        return priority if self.priority_cap is None else min(priority, self.priority_cap)

    @model_validator(mode="after")
    def _consistent(self) -> TeamSettings:
        guaranteed = self.guaranteed_share
        if self.ceiling < guaranteed:
            problem = f"a ceiling of {self.ceiling:g} is below the guaranteed share, {guaranteed:g}"
            wrong(problem, "Raise the ceiling or lower the guarantee")
        if self.lends > guaranteed:
            problem = f"lends {self.lends:g} of each resource, but {guaranteed:g} is guaranteed"
            wrong(problem, "Lend at most the guaranteed share")
        if self.most == 0:
            wrong("neither guaranteed nor borrowed: the team could start nothing", "Raise one")
        return self


class Limits(_Settings):
    """What the account may hold at once, and how fast it may be asked."""

    tuning_jobs: Annotated[int, Field(ge=1, le=aws_limits.TUNING_JOBS)] = aws_limits.TUNING_JOBS
    creates_per_second: Annotated[float, Field(gt=0, le=100)] = 5.0
    # Before that rate applies: an empty account fills at once, and botocore waits if throttled.
    creates_at_once: Annotated[int, Field(ge=1, le=aws_limits.TUNING_JOBS)] = aws_limits.TUNING_JOBS
    # Training instances per type, in place of what Service Quotas says.
    instances: dict[str, Annotated[int, Field(ge=0)]] = {}
    # Training instances per type that are left to others in the account.
    headroom: dict[str, Annotated[int, Field(ge=0)]] = {}


class Vpc(_Settings):
    """Where training jobs run."""

    subnets: Annotated[tuple[str, ...], Field(min_length=1, max_length=16)]
    security_group_ids: Annotated[tuple[str, ...], Field(min_length=1, max_length=5)]


class Guardrails(_Settings):
    """What no message can widen. None, or an empty list, leaves the choice to the teams."""

    instance_types: tuple[str, ...] = ()  # exact, or a pattern such as ml.m5.*
    images: tuple[str, ...] = ()  # exact, or a pattern such as 123456789012.dkr.ecr.*/*
    input_prefixes: tuple[str, ...] = ()  # s3://bucket/prefix/
    output_prefixes: tuple[str, ...] = ()
    max_run_seconds: Annotated[int, Field(ge=1)] | None = None
    max_keep_alive_seconds: Annotated[int, Field(ge=0)] | None = None
    max_training_jobs: Annotated[int, Field(ge=1)] | None = None
    max_parallel_training_jobs: (
        Annotated[int, Field(ge=1, le=aws_limits.PARALLEL_TRAINING_JOBS)] | None
    ) = None
    max_instance_count: Annotated[int, Field(ge=1)] | None = None
    max_volume_gb: Annotated[int, Field(ge=1)] | None = None
    spot_only: bool = False
    vpc: Vpc | None = None
    volume_kms_key: str | None = None
    output_kms_key: str | None = None
    network_isolation: bool = False
    inter_container_encryption: bool = False
    required_tags: tuple[str, ...] = ()


class Deployment(_Settings):
    """The part of the settings that is fixed when the stack is synthesised."""

    teams: Annotated[dict[TeamName, TeamSettings], Field(min_length=1)]
    limits: Limits = Limits()
    default_template: str = "credit-default-cpu"
    guardrails: Guardrails = Guardrails()
    # USD an hour of one instance, by type: for estimates only. None is known without being set.
    prices: dict[str, Annotated[float, Field(ge=0)]] = {}

    @model_validator(mode="after")
    def _guarantees_can_be_kept(self) -> Deployment:
        total = sum(team.guaranteed_share for team in self.teams.values())
        if total > 1 + 1e-9:
            problem = f"the guaranteed shares add up to {total:g}"
            wrong(problem, "Give the teams together at most 1", field="teams")
        return self


class FrameworkImage(_Settings):
    """An AWS deep learning container, looked up by the SageMaker SDK."""

    framework: Literal["pytorch", "tensorflow", "huggingface", "sklearn", "xgboost"]
    version: str
    py_version: str | None = None


class Template(_Settings):
    """A job template: what a message need not say. A file of ``templates/``."""

    description: str
    image: FrameworkImage | str
    entry_point: str | None = None  # a script of the bundled training source
    request: dict[str, Any] = {}  # message fields used where the message has none
    tuning_job: dict[str, Any] = {}  # CreateHyperParameterTuningJob fields, API spelling
    # A hyperparameter that takes the ranges as JSON: the script searches them by itself.
    ranges_parameter: str | None = None
    # Their values appear in no log line, reason, dead-letter attribute or event.
    secret_hyperparameters: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known_defaults(self) -> Template:
        allowed = {"hyperparameters", "objective", "strategy", "resource_limits", "tags"}
        unknown = sorted(set(self.request) - allowed)
        if unknown:
            raise ValueError(f"request.{unknown[0]} cannot have a default")
        return self


class Environment(_Settings):
    """What CloudFormation alone knows; the function's environment variables."""

    deployment: str
    ledger_table: str
    artifact_bucket: str
    training_role_arn: str
    training_source: str
    region: str
    event_bus: str = "default"

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        """Read ``HPOQ_*`` and the Region.

        Raises:
            InvalidSettings: naming the first variable that is missing.
        """
        names = {field: f"HPOQ_{field.upper()}" for field in cls.model_fields} | {
            "region": "AWS_REGION"
        }
        values = {field: variables[name] for field, name in names.items() if variables.get(name)}
        for field, name in names.items():
            if cls.model_fields[field].is_required() and field not in values:
                raise InvalidSettings(name, "not set", "Set it on the function")
        return cls(**values)


def read_deployment(path: Path) -> Deployment:
    """Load ``deployment.json``.

    Raises:
        InvalidSettings: with the key, the problem and the fix.
    """
    try:
        fields = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidSettings(str(path.name), f"cannot be read ({error})", "Deploy again") from None
    return parse_deployment(fields)


def parse_deployment(fields: Mapping[str, Any]) -> Deployment:
    """Check settings that are already a mapping; see ``read_deployment``."""
    return _parse(Deployment, fields, "settings")


def read_templates(directory: Path = TEMPLATES_DIRECTORY) -> dict[str, Template]:
    """Every ``*.yaml`` of a directory, by its name without the ending.

    Raises:
        InvalidSettings: for the first file that is no template.
    """
    return {path.stem: read_template(path) for path in sorted(directory.glob("*.yaml"))}


def parse_template(name: str, fields: Mapping[str, Any]) -> Template:
    """Check one template that is already a mapping."""
    return _parse(Template, fields, f"template {name}")


def read_template(path: Path) -> Template:
    """One template, of the file's name without the ending.

    Raises:
        InvalidSettings: it cannot be read, or is no template.
    """
    try:
        fields = yaml.load(path.read_text(), Loader=_LOADER)  # noqa: S506  a safe one
    except OSError as error:
        raise InvalidSettings(path.name, str(error.strerror), "Give a template's file") from None
    except yaml.YAMLError as error:
        raise InvalidSettings(path.name, f"not YAML ({error})", "Mend the file") from None
    if not isinstance(fields, dict):
        raise InvalidSettings(path.name, "not a mapping", "Start with description: ...")
    return parse_template(path.stem, fields)


def _parse(model: type[_Model], fields: Mapping[str, Any], what: str) -> _Model:
    known = set(model.model_fields) | set(Guardrails.model_fields) | set(Limits.model_fields)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        wrong: InvalidRequest = first_problem(error, fields, known)
        raise InvalidSettings(f"{what}: {wrong.field}", wrong.problem, wrong.fix) from None
