"""The S3 locations that a team's training jobs may use.

A team's training role (infra/training_role.py) reaches these locations and no others. A request
that names another one is rejected at intake instead of failing in SageMaker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from hpo_dispatcher.contract import aws_limits, names
from hpo_dispatcher.contract.errors import NotAllowed
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.tuning_job.api.s3_uri import s3_uri
from hpo_dispatcher.tuning_job.api.schema import SOURCE_ARCHIVE, source_archive

Definition = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Places:
    """The S3 locations of a team."""

    team: str
    bucket: str  # the artifact bucket
    training_source: str  # the bundled scripts, which every team may read
    opened: Guardrails  # of the deployment and the team, whose prefixes are open

    def may_read(self, place: str) -> bool:
        """Return whether the team's training jobs may read below a location."""
        place = s3_uri(place)
        inside = self._folder_in_bucket(place)
        if inside is not None and inside.startswith((*self._own, *names.SHARED_FOLDERS)):
            return True
        prefixes = (*self.opened.input_prefixes, *self.opened.output_prefixes)
        return not self._overlaps_other_teams(place) and _is_below_any(place, prefixes)

    def may_write(self, place: str) -> bool:
        """Return whether the team's training jobs may write below a location."""
        place = s3_uri(place)
        inside = self._folder_in_bucket(place.rstrip("/") + "/")
        if inside is not None and inside.startswith(self._own):
            return True
        prefixes = self.opened.output_prefixes
        return not self._overlaps_other_teams(place) and _is_below_any(place, prefixes)

    @property
    def readable(self) -> tuple[str, ...]:
        """The locations to read, for people."""
        own = (names.workspace_prefix(self.team), names.SHARED_PREFIX)
        return (*self._uris(own), *self.opened.input_prefixes, *self.opened.output_prefixes)

    @property
    def writable(self) -> tuple[str, ...]:
        """The locations to write to, for people."""
        own = (names.workspace_prefix(self.team),)
        return (*self._uris(own), *self.opened.output_prefixes)

    @property
    def _own(self) -> tuple[str, ...]:
        return names.team_folders(self.team)

    def _uris(self, folders: tuple[str, ...]) -> Iterator[str]:
        return (f"s3://{self.bucket}/{folder}" for folder in folders)

    def _folder_in_bucket(self, place: str) -> str | None:
        """Return the key prefix of a location in the artifact bucket; None if it is elsewhere."""
        bucket = f"s3://{self.bucket}/"
        return place.removeprefix(bucket) if place.startswith(bucket) else None

    def _overlaps_other_teams(self, place: str) -> bool:
        """Return whether a place that is not the team's own includes or is in a team's folder."""
        if place == f"s3://{self.bucket}":
            return True
        inside = self._folder_in_bucket(place)
        if inside is None:
            return False
        of_teams = (names.WORKSPACES, *names.EARLIER_FOLDERS)
        return any(inside.startswith(each) or each.startswith(inside) for each in of_teams)


def check_places(definition: Definition, places: Places) -> None:
    """Check the data, code, output and checkpoints of a definition.

    Raises:
        NotAllowed: naming the first location that the team's training jobs may not use.
    """
    path = "TrainingJobDefinition"
    for index, channel in enumerate(definition.get("InputDataConfig", ())):
        field = f"{path}.InputDataConfig.{index}.DataSource"
        source = channel["DataSource"]
        if "S3DataSource" in source:
            _check_input(field, source["S3DataSource"]["S3Uri"], places)
        if places.opened.input_prefixes and not _is_prefix(source):
            _reject(field, "the deployment allows S3 prefixes only", "Use S3DataType S3Prefix")
    program = source_archive(definition)
    in_channel = program.startswith(f"{aws_limits.CHANNELS_FOLDER}/")  # which is checked above
    if program and program != places.training_source and not in_channel:
        _check_input(f"{path}.StaticHyperParameters.{SOURCE_ARCHIVE}", program, places)
    checkpoints = definition.get("CheckpointConfig", {}).get("S3Uri")
    outputs = {
        f"{path}.OutputDataConfig.S3OutputPath": definition["OutputDataConfig"]["S3OutputPath"],
        f"{path}.CheckpointConfig.S3Uri": checkpoints,
    }
    for field, place in outputs.items():
        if place and not places.may_write(place):
            problem = f"{place} is not a location to which the team's training jobs may write"
            _reject(field, problem, f"Use {_listed(places.writable)}")


def _check_input(field: str, place: str, places: Places) -> None:
    if not places.may_read(place):
        problem = f"{place} is not a location that the team's training jobs may read"
        _reject(field, problem, f"Use {_listed(places.readable)}")


def _is_prefix(source: Definition) -> bool:
    """Return whether a channel's data is an S3 prefix, with no other source beside it."""
    if set(source) != {"S3DataSource"}:
        return False
    s3 = source["S3DataSource"]
    return s3["S3DataType"] == "S3Prefix" and "HubAccessConfig" not in s3


def _is_below_any(place: str, prefixes: tuple[str, ...]) -> bool:
    """Return whether a location is one of the folders or within it, not just named alike."""
    folders = [prefix.rstrip("/*") + "/" for prefix in prefixes]
    return any(place.startswith(each) or place == each.rstrip("/") for each in folders)


def _listed(locations: tuple[str, ...]) -> str:
    first = "a location below " + " or ".join(locations)
    return f"{first}, or ask your administrator to open another one (guardrails)"


def _reject(field: str, problem: str, fix: str) -> NoReturn:
    raise NotAllowed(field, problem, fix)
