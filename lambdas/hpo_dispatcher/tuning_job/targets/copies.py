"""Where the inputs of a tuning job are on a target to which S3 replicates home's data. Pure.

A location in a replicated folder of home's artifact bucket means the same key of the target's. No
other location is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hpo_dispatcher.tuning_job.api.s3_uri import s3_uri
from hpo_dispatcher.tuning_job.api.schema import (
    SOURCE_ARCHIVE,
    ApiRequest,
    definitions,
    on_definitions,
    source_archive,
)

Definition = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Copies:
    """The replicated folders of home's artifact bucket."""

    home: str  # its name
    target: str  # the name of the target's bucket
    folders: tuple[str, ...]

    def on_target(self, place: str) -> str:
        """Return the copy of a location on the target; the location itself if it has none."""
        key = self._key(self.home, place)
        return place if key is None else f"s3://{self.target}/{key}"

    def prefix(self, place: str) -> str | None:
        """Return the prefix of the keys of a copy on the target; None if it is not a copy."""
        return self._key(self.target, place)

    def _key(self, bucket: str, place: str) -> str | None:
        key = s3_uri(place).removeprefix(f"s3://{bucket}/")
        return key if key != s3_uri(place) and key.startswith(self.folders) else None


def with_copies(api_request: ApiRequest, copies: Copies) -> ApiRequest:
    """Return a request that reads the target's copies of channels and code at home."""
    return on_definitions(api_request, lambda definition: _with_copies(definition, copies))


def prefixes_read(api_request: ApiRequest, copies: Copies) -> list[str]:
    """Return the prefixes of the copies that a request reads on the target, each once."""
    places = [place for each in definitions(api_request) for place in _read(each)]
    return list(dict.fromkeys(p for p in map(copies.prefix, places) if p is not None))


def _read(definition: Definition) -> Iterator[str]:
    for channel in definition.get("InputDataConfig", ()):
        if "S3DataSource" in channel["DataSource"]:
            yield channel["DataSource"]["S3DataSource"]["S3Uri"]
    yield source_archive(definition)


def _with_copies(definition: Definition, copies: Copies) -> Definition:
    changed = dict(definition)
    if "InputDataConfig" in definition:
        channels = definition["InputDataConfig"]
        changed["InputDataConfig"] = [_channel(each, copies) for each in channels]
    archive = source_archive(definition)
    if (there := copies.on_target(archive)) != archive:
        static = definition["StaticHyperParameters"]
        # Encoded or not, as it was.
        text = static[SOURCE_ARCHIVE].replace(archive, there)
        changed["StaticHyperParameters"] = static | {SOURCE_ARCHIVE: text}
    return changed


def _channel(channel: dict[str, Any], copies: Copies) -> dict[str, Any]:
    source = channel["DataSource"]
    if "S3DataSource" not in source:
        return channel
    s3 = source["S3DataSource"]
    there = s3 | {"S3Uri": copies.on_target(s3["S3Uri"])}
    return channel | {"DataSource": source | {"S3DataSource": there}}
