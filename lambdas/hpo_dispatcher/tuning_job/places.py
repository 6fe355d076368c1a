"""The locations that a team's training jobs may use.

A team's training role (infra/training_role.py) reaches these locations in S3 and no others. A
request that names another one is rejected at intake instead of failing in SageMaker. No permission
of the role keeps teams apart on file systems, so a request may only name what the settings open.
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
    """The locations of a team."""

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

    def may_mount(self, file_system: str, folder: str, *, mode: str) -> bool:
        """Return whether a channel may name a folder of a file system, in the mode ro or rw."""
        place = f"{file_system}/{folder.removeprefix('/')}".rstrip("/")
        is_plain = ".." not in folder.split("/")
        return is_plain and _is_below_any(place, self.mountable(mode))

    def mountable(self, mode: str) -> tuple[str, ...]:
        """Return the folders of file systems that channels may name in a mode."""
        written = self.opened.output_file_systems
        return (*self.opened.input_file_systems, *written) if mode == "ro" else written

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
        _check_channel(f"{path}.InputDataConfig.{index}.DataSource", channel["DataSource"], places)
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


def _check_channel(field: str, source: Definition, places: Places) -> None:
    """Check the source of a channel: a location in S3, or a folder of a file system."""
    if set(source) == {"S3DataSource"}:
        s3 = source["S3DataSource"]
        _check_input(field, s3["S3Uri"], places)
        is_prefix = s3["S3DataType"] == "S3Prefix" and "HubAccessConfig" not in s3
        if places.opened.input_prefixes and not is_prefix:
            _reject(field, "the deployment allows S3 prefixes only", "Use S3DataType S3Prefix")
    elif set(source) == {"FileSystemDataSource"}:
        _check_file_system(f"{field}.FileSystemDataSource", source["FileSystemDataSource"], places)
    else:
        named = " and ".join(sorted(source)) or "an empty source"
        problem = f"{named} cannot be checked against the team's locations"
        _reject(field, problem, "Use S3DataSource or FileSystemDataSource, alone")


def _check_file_system(field: str, source: Definition, places: Places) -> None:
    file_system, folder = source["FileSystemId"], source["DirectoryPath"]
    mode = source["FileSystemAccessMode"]
    if not places.may_mount(file_system, folder, mode=mode):
        problem = f"{folder} of {file_system} is not open to the team's channels ({mode})"
        opened = places.mountable(mode)
        fix = _listed(opened) if opened else "S3, or ask your administrator to open it (guardrails)"
        _reject(field, problem, f"Use {fix}")


def _check_input(field: str, place: str, places: Places) -> None:
    if not places.may_read(place):
        problem = f"{place} is not a location that the team's training jobs may read"
        _reject(field, problem, f"Use {_listed(places.readable)}")


def _is_below_any(place: str, prefixes: tuple[str, ...]) -> bool:
    """Return whether a location is one of the folders or within it, not just named alike."""
    folders = [prefix.rstrip("/*") + "/" for prefix in prefixes]
    return any(place.startswith(each) or place == each.rstrip("/") for each in folders)


def _listed(locations: tuple[str, ...]) -> str:
    first = "a location below " + " or ".join(locations)
    return f"{first}, or ask your administrator to open another one (guardrails)"


def _reject(field: str, problem: str, fix: str) -> NoReturn:
    raise NotAllowed(field, problem, fix)
