"""The settings of a deployment, from the context of cdk.json or ``cdk deploy -c key=value``."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from aws_cdk import RemovalPolicy
from botocore.loaders import Loader
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hpo_dispatcher.contract import aws_limits, names
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import (
    LEAST_FINISHED_DAYS,
    VOCABULARY,
    Deployment,
    Guardrails,
    Limits,
    TargetSettings,
    TeamSettings,
    Vpc,
    WorkflowSettings,
    invalid_settings,
    parse_value,
)
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.targets.sites import TargetSite
from hpo_dispatcher.contract.validation.problems import nearest, wrong
from hpo_dispatcher.contract.validation.values import DeploymentName, EmailAddress, KeyArn
from infra.templates import deployed_templates

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
    name: DeploymentName = "hpoq"
    # The teams that may send requests, and the settings of each: {"fraud": {"weight": 2}}.
    teams: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    # Concurrent tuning jobs, creations per second, instances per type.
    limits: dict[str, Any] = {}
    # Limits that no message can exceed.
    guardrails: dict[str, Any] = {}
    # State machines and pipelines that may wait for requests: {"state_machines": ["credit-*"]}.
    # Not set: messages of workflows that wait are rejected. docs/workflows.md describes them.
    workflows: dict[str, Any] = {}
    # The accounts and Regions that run tuning jobs, home among them, and the settings of each. Not
    # set: only the deployment's own. docs/targets.md describes them.
    targets: dict[str, dict[str, Any]] = {}
    # The template of a message that does not name one.
    default_template: str = "credit-default-cpu"
    # A folder of job templates of your own, one file NAME.yaml each, relative to the folder of
    # cdk.json. docs/templates.md describes them.
    templates: str | None = None
    # USD per hour of one training instance, by type: {"ml.m5.xlarge": 0.23}. `hpoq submit` uses
    # them to estimate costs; hpoq has no built-in prices.
    prices: dict[str, float] = {}
    # Days after which a request that has ended leaves the ledger, for example 365. Not set: the
    # ledger keeps all requests.
    finished_requests_days: Annotated[int, Field(ge=LEAST_FINISHED_DAYS)] | None = None
    # The Python version of the dispatcher and its layer. Versions other than 3.13 are for the
    # embedded cloud on machines without Python 3.13.
    python_version: Literal["3.11", "3.12", "3.13", "3.14"] = "3.13"
    # Memory of the dispatcher function.
    memory_mb: Annotated[int, Field(ge=256, le=10_240)] = 1024
    # 1 also prevents concurrent cycles by Lambda, in addition to the lease in the ledger. The
    # concurrency limit of a new account is 10, which leaves nothing to reserve.
    reserved_concurrency: Annotated[int, Field(ge=1, le=1)] | None = None
    # How long CloudWatch keeps the dispatcher's log: one of the numbers of days that it offers.
    log_retention_days: int = 90
    # Whether to keep the ledger, the queues and the artifact bucket when the stack is destroyed,
    # and the queues of a team when the team is removed.
    retain_data: bool = True
    # An email address to subscribe to the alarm topic.
    alarm_email: EmailAddress | None = None
    # The alarm `oldest-request` fires when a request has been queued for longer.
    oldest_request_hours: Annotated[int, Field(ge=1, le=720)] = 24
    # The path or URL of docs/runbook.md that alarm descriptions refer to.
    runbook: str = "docs/runbook.md"
    # The ARN of a customer managed key for queues, ledger, bucket, logs and topics, and for
    # training volumes and output unless the guardrails name other keys. docs/security.md lists
    # what the key policy must allow.
    kms_key_arn: KeyArn | None = None
    # The ARN of the key of the bootstrap bucket, if `cdk bootstrap` was given a customer managed
    # key: training jobs fetch the bundled scripts from that bucket.
    bootstrap_kms_key_arn: KeyArn | None = None

    @field_validator("log_retention_days")
    @classmethod
    def _offered(cls, days: int) -> int:
        offered = aws_limits.LOG_RETENTION_DAYS
        if days not in offered:
            wrong(
                f"CloudWatch does not keep logs for {days} days",
                f"Use one of {', '.join(map(str, offered))}",
            )
        return days

    @property
    def deployment(self) -> dict[str, Any]:
        """The settings that are deployed with the function, as JSON values."""
        deployed = {
            "teams": self.teams,
            "limits": self.limits,
            "guardrails": self._keys() | self.guardrails,
            "workflows": self.workflows,
            "default_template": self.default_template,
            "prices": self.prices,
            "finished_requests_days": self.finished_requests_days,
        }
        return deployed | ({"targets": self.targets} if self.targets else {})

    @property
    def sites(self) -> list[TargetSite]:
        """The targets besides home, and where they are."""
        home = self.targets.get(HOME, {})
        return [
            TargetSite(
                deployment=self.name,
                target=name,
                account=each["account"],
                region=each["region"],
                home_account=home["account"],
                home_region=home["region"],
            )
            for name, each in self.targets.items()
            if name != HOME
        ]

    @property
    def replicated_folders(self) -> list[str]:
        """The folders of the artifact bucket that S3 replicates to any target."""
        found = (each for site in self.sites for each in self.target(site.target).replicate)
        return sorted(set(found))

    def target(self, name: str) -> TargetSettings:
        """Return the settings of one target."""
        return TargetSettings.model_validate(self.targets[name])

    def on_target(self, site: TargetSite) -> Settings:
        """Return the settings under the name of a target, without what home alone has."""
        rules = self.rules.opened_for(self.target(site.target).guardrails)
        return self.model_copy(
            update={
                "name": site.name,
                "guardrails": rules.model_dump(exclude_defaults=True),
                "kms_key_arn": None,
                "bootstrap_kms_key_arn": None,
                "targets": {},
            }
        )

    def rules_on(self, target: str, team: str) -> Guardrails:
        """Return the guardrails of a target with what the settings open to one team."""
        return self.rules_of(team).opened_for(self.target(target).guardrails)

    @property
    def waiting_workflows(self) -> WorkflowSettings:
        """The workflows that may wait for requests."""
        return WorkflowSettings.model_validate(self.workflows)

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

    def rules_of(self, team: str) -> Guardrails:
        """Return the guardrails with what the settings open to one team."""
        return self.rules.opened_for(self.team(team).guardrails)

    def _keys(self) -> dict[str, str]:
        """Return the guardrails by which the customer key also encrypts volumes and models."""
        key = self.kms_key_arn
        return {"volume_kms_key": key, "output_kms_key": key} if key else {}


def read_settings(context: Mapping[str, Any]) -> Settings:
    """Collect and validate the settings.

    Args:
        context: the context of the app, with keys of CDK and its libraries.

    Raises:
        InvalidSettings: a setting is invalid; names the key, the problem and the fix.
        InvalidTemplates: templates are invalid, with one line for each fault.
    """
    values = {key: _value(key, value) for key, value in context.items() if not _is_of_cdk(key)}
    given = {key: value for key, value in values.items() if value is not None}
    _reject_unknown(given)
    if given.get("reserved_concurrency") == "none":
        given["reserved_concurrency"] = None
    try:
        settings = Settings.model_validate(given)
        Deployment.model_validate(settings.deployment)
    except ValidationError as error:
        raise invalid_settings(error, given, VOCABULARY) from None
    _reject_ambiguous_names(settings.teams)
    _reject_names_of_sites(settings)
    _reject_replicas_without_keys(settings)
    _reject_unknown_template(settings)
    _reject_unknown_instance_types(settings)
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
    """Reject names of teams that share logical ids or the names of tuning jobs with others."""
    by_name: dict[str, str] = {}
    direct = names.tuning_job_prefix(names.DIRECT)
    for team in teams:
        if names.tuning_job_prefix(team).startswith(direct):
            problem = f"tuning jobs of direct campaigns have names that begin with {direct}"
            raise InvalidSettings(f"teams.{team}", problem, "Choose another name")
        other = by_name.setdefault(output_name(team), team)
        if other != team:
            problem = f"differs from {other} only in hyphens"
            raise InvalidSettings(f"teams.{team}", problem, "Choose another name")


_LONGEST_NAME = 30  # of a deployment; the names on a target begin with both names


def _reject_names_of_sites(settings: Settings) -> None:
    """Reject names of targets that make the names there too long, or equal to names at home."""
    for site in settings.sites:
        key = f"targets.{site.target}"
        if len(site.name) > _LONGEST_NAME:
            problem = f"{site.name} is longer than {_LONGEST_NAME} characters"
            raise InvalidSettings(key, problem, "Shorten the name of the target")
        alike = [t for t in settings.teams if t.removeprefix(f"{site.target}-") in settings.teams]
        alike = [t for t in alike if t.startswith(f"{site.target}-")]
        if alike and site.account == site.home_account:
            problem = f"its roles would have the names of those of team {alike[0]}"
            raise InvalidSettings(key, problem, "Choose another name")


def _reject_replicas_without_keys(settings: Settings) -> None:
    """Reject replication between a bucket with a customer managed key and one without."""
    for site in settings.sites:
        target = settings.target(site.target)
        key = (target.guardrails and target.guardrails.output_kms_key) or ""
        if target.replicate and key.startswith("arn:") != bool(settings.kms_key_arn):
            problem = (
                f"only one of kms_key_arn and targets.{site.target}.guardrails.output_kms_key is "
                "the ARN of a key"
            )
            fix = "Set both or neither: the buckets of home and of the target are encrypted alike"
            raise InvalidSettings(f"targets.{site.target}.replicate", problem, fix)


def _reject_unknown(given: Iterable[str]) -> None:
    """Reject keys that are not settings, which otherwise would silently have no effect."""
    groups: dict[str, type[BaseModel]] = {
        "limits": Limits,
        "guardrails": Guardrails,
        "guardrails.vpc": Vpc,
        "workflows": WorkflowSettings,
        "teams.<team>": TeamSettings,
        "targets.<target>": TargetSettings,
    }
    for key in sorted(set(given) - set(Settings.model_fields)):
        within = [group for group, model in groups.items() if key in model.model_fields]
        fix = f"Set it in {within[0]}" if within else nearest(key, Settings.model_fields)
        raise InvalidSettings(key, "unknown setting", fix or VOCABULARY.remove)


def _reject_unknown_template(settings: Settings) -> None:
    default, known = settings.default_template, sorted(deployed_templates(settings.templates))
    if default not in known:
        fix = nearest(default, known) or f"Use one of {', '.join(known)}"
        raise InvalidSettings("default_template", f"there is no template {default!r}", fix)


def _reject_unknown_instance_types(settings: Settings) -> None:
    """Reject instance types that the API does not know, such as misspelled ones."""
    limits, guardrails = Limits.model_validate(settings.limits), settings.rules
    totals = aws_limits.TOTALS.values()
    given = {
        "limits.instances": [each for each in limits.instances if each not in totals],
        "limits.headroom": [each for each in limits.headroom if each not in totals],
        "prices": list(settings.prices),
        "guardrails.instance_types": list(guardrails.instance_types),
    }
    for name in settings.targets:
        target = settings.target(name)
        counted = [*target.instances, *target.headroom]
        given[f"targets.{name}"] = [each for each in counted if each not in totals]
        if target.guardrails:
            given[f"targets.{name}.guardrails"] = list(target.guardrails.instance_types)
    if not any(given.values()):
        return
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    known: list[str] = shapes["TrainingInstanceType"]["enum"]
    for key, types in given.items():
        for name in types:
            if not fnmatch.filter(known, aws_limits.type_of(name)):
                fix = nearest(name, known) or "docs/operations.md describes this setting"
                raise InvalidSettings(key, f"SageMaker has no instance type {name}", fix)


# Keys that CDK's own tools write to cdk.json, cdk.context.json and ~/.cdk.json. All others of CDK
# contain a colon or a slash: https://docs.aws.amazon.com/cdk/v2/guide/context.html
_CDK_KEYS = {"acknowledged-issue-numbers", "cli-telemetry", "tree"}


def _is_of_cdk(key: str) -> bool:
    return key in _CDK_KEYS or ":" in key or "/" in key


_TEXTS = ("name", "python_version", "default_template", "templates")  # never parsed as JSON


def _value(key: str, value: Any) -> Any:
    """Return a context value; text from the command line is parsed as JSON if it is JSON."""
    if not isinstance(value, str) or key in _TEXTS:
        return value
    parsed = parse_value(key, value)
    if parsed is value and value.lstrip()[:1] in ("{", "["):
        fix = f'Put it in single quotes, as in -c \'{key}={{"name": "value"}}\''
        if value.rstrip()[-1] not in ("}", "]"):  # cdk ends the value of -c at a line break
            fix = f"Remove its line breaks, as in -c {key}=\"$(tr -d '\\n' < {key}.json)\""
        raise InvalidSettings(key, f"{value} is not valid JSON", fix)
    return parsed
