"""The settings of targets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field, field_validator

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.guardrails import Guardrails
from hpo_dispatcher.contract.names import SHARED_FOLDERS, WORKSPACES
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.validation.problems import wrong
from hpo_dispatcher.contract.validation.settings_model import SettingsModel, check_instances
from hpo_dispatcher.contract.validation.values import (
    AccountId,
    FolderName,
    RegionName,
    TeamName,
)

# Settings that home has elsewhere.
_OF_LIMITS = ("tuning_jobs", "instances", "headroom")
# S3 takes so many rules in the replication configuration of a bucket, one for each folder and
# target ("Quotas" in "Replication configuration file elements" of the S3 user guide).
_MOST_FOLDERS = 1_000


class TargetSettings(SettingsModel):
    """An account and Region that runs tuning jobs."""

    # The id of the account. Required if there are several targets, for home as well.
    account: AccountId | None = None
    # The Region. Required if there are several targets, for home as well.
    region: RegionName | None = None
    # The most tuning jobs at a time there, those that others created included. Home has
    # `limits.tuning_jobs`.
    tuning_jobs: Annotated[int, Field(ge=1, le=aws_limits.TUNING_JOBS)] = aws_limits.TUNING_JOBS
    # Training instances there, as in `limits.instances`, which home has.
    instances: dict[str, Annotated[int, Field(ge=0)]] = {}
    # Training instances there that are left to other users, as in `limits.headroom`, which home
    # has.
    headroom: dict[str, Annotated[int, Field(ge=0)]] = {}
    # The teams that may use the target. Empty: all.
    teams: tuple[TeamName, ...] = ()
    # Of the targets on which a request could start at once, it takes one with the highest
    # preference, and of these the one with the lowest load.
    preference: float = 1.0
    # Folders of home's artifact bucket that S3 replicates to this target's, such as "shared/" or
    # "teams/fraud/data/". A request whose data is in them starts here once all of it has arrived.
    replicate: tuple[FolderName, ...] = Field(default=(), exclude_if=lambda folders: not folders)
    # Guardrails of this target, besides the deployment's. Its network and keys replace the
    # deployment's; of limits, both apply.
    guardrails: Guardrails | None = None

    @field_validator("instances", "headroom")
    @classmethod
    def _of_known_types(cls, instances: dict[str, int]) -> dict[str, int]:
        check_instances(instances)
        return instances

    def admits(self, team: str) -> bool:
        """Return whether a team may use the target."""
        return not self.teams or team in self.teams


def check_targets(
    targets: Mapping[str, TargetSettings], guardrails: Guardrails, teams: Collection[str]
) -> None:
    """Check that targets fit together, and the deployment that uses them."""
    home = targets.get(HOME)
    if home is None:
        fix = 'Add "home" with the account and the Region of the deployment'
        wrong("home is missing", fix, field="targets")
    for name in _OF_LIMITS:
        if getattr(home, name) != TargetSettings.model_fields[name].default:
            wrong("not a setting of home", f"Set limits.{name}", field=f"targets.home.{name}")
    for name, target in targets.items():
        for team in target.teams:
            if team not in teams:
                fix = f"Use {', '.join(sorted(teams))}"
                wrong(f"there is no team {team!r}", fix, field=f"targets.{name}.teams")
    if home.replicate:
        wrong("it is home's bucket that is replicated", "Remove it", field="targets.home.replicate")
    for name, target in targets.items():
        _check_replicated(f"targets.{name}.replicate", target, teams)
    if sum(len(target.replicate) for target in targets.values()) > _MOST_FOLDERS:
        fix = f"Name at most {_MOST_FOLDERS} in all, such as a folder that has others in it"
        wrong("more folders than S3 takes rules", fix, field="targets")
    if len(targets) > 1:
        _check_places(targets)
        _check_regional(targets, guardrails)


def _check_replicated(field: str, target: TargetSettings, teams: Collection[str]) -> None:
    """Check that each replicated folder is one that requests on the target may read."""
    read = [f"{WORKSPACES}{team}/" for team in teams if target.admits(team)]
    for folder in target.replicate:
        if not folder.startswith((*SHARED_FOLDERS, *read)):
            fix = f"Use {' or '.join([*SHARED_FOLDERS, *read])} or a folder in one of them"
            wrong(f"no request there reads {folder!r}", fix, field=field)
        if others := [o for o in target.replicate if o != folder and o.startswith(folder)]:
            wrong(f"{others[0]!r} is in {folder!r}", "Remove one of them", field=field)
    if len(set(target.replicate)) < len(target.replicate):
        wrong("a folder is named twice", "Name each once", field=field)


def _check_places(targets: Mapping[str, TargetSettings]) -> None:
    """Check that every target says where it is, and that no two are in the same place."""
    places: dict[tuple[str, str], str] = {}
    for name, target in targets.items():
        if not target.account or not target.region:
            missing = "region" if target.account else "account"
            fix = "With several targets, each needs its account and its Region"
            wrong("missing", fix, field=f"targets.{name}.{missing}")
        other = places.setdefault((target.account, target.region), name)
        if other != name:
            problem = f"has the account and the Region of {other}, and so the same quotas"
            wrong(problem, "Remove one of them", field=f"targets.{name}")


def _check_regional(targets: Mapping[str, TargetSettings], guardrails: Guardrails) -> None:
    """Check that every target has a network and keys of its own if the deployment has them."""
    for field in ("vpc", "volume_kms_key", "output_kms_key"):
        if not getattr(guardrails, field):
            continue
        for name, target in targets.items():
            if name != HOME and not (target.guardrails and getattr(target.guardrails, field)):
                fix = f"Set guardrails.{field} of the target: home's is in another place"
                wrong("missing", fix, field=f"targets.{name}.guardrails.{field}")
