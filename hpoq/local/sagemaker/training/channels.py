"""A training job's inputs: from S3 into the folders of its channels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from hpoq.local.sagemaker.ports import ObjectStore, StoredObject

Record = Mapping[str, Any]
# Of every file in the cache: one that a trial wrote to in spite of its mode has another.
UNTOUCHED = 10**18  # nanoseconds since the epoch


class ContainerError(Exception):
    """The job cannot start; the text is its failure reason."""


@dataclass(frozen=True)
class Inputs:
    """Where inputs come from.

    Args:
        objects: S3.
        cache: files already copied, by object version: trials share their inputs.
    """

    objects: ObjectStore
    cache: Path

    def lay_out(self, channel: Record, target: Path, host: int, hosts: int) -> None:
        """Fill a channel's folder on one of several hosts.

        Raises:
            ContainerError: the input cannot be had, or not in this way.
        """
        name = channel["ChannelName"]
        if channel.get("InputMode") == "Pipe":
            raise ContainerError(
                f"ClientError: channel {name} is in Pipe mode, which this endpoint does not have; "
                "FastFile reads the same objects as files"
            )
        source = channel["DataSource"].get("S3DataSource")
        if not source:
            raise ContainerError(f"ClientError: channel {name} is not on S3")
        target.mkdir(parents=True, exist_ok=True)
        found = list(self._found(source, name))
        if not found:
            raise ContainerError(f"ClientError: no S3 objects found under {source['S3Uri']}")
        if source.get("S3DataDistributionType") == "ShardedByS3Key":
            found = found[host::hosts]
        for bucket, each, where in found:
            file = target / where
            if not file.resolve().is_relative_to(target.resolve()):
                raise ContainerError(f"ClientError: {each.key} leads out of channel {name}")
            file.parent.mkdir(parents=True, exist_ok=True)
            self.link(bucket, each, file)

    def _found(self, source: Record, channel: str) -> Iterator[tuple[str, StoredObject, str]]:
        """Buckets, objects, and their places in the channel."""
        match source["S3DataType"]:
            case "S3Prefix":
                bucket, prefix = place(source["S3Uri"])
                for each in self._files(bucket, prefix):
                    yield bucket, each, within(prefix, each.key)
            case "ManifestFile":
                yield from self._of_manifest(source["S3Uri"])
            case kind:
                raise ContainerError(
                    f"ClientError: channel {channel} is of {kind}, which this endpoint does not "
                    "have; S3Prefix and ManifestFile are"
                )

    def _of_manifest(self, uri: str) -> Iterator[tuple[str, StoredObject, str]]:
        """``[{"prefix": "s3://bucket/folder/"}, "relative/path", ...]``, as SageMaker reads it."""
        try:
            entries = json.loads(self.text(uri))
            head, *names = entries
            bucket, prefix = place(head["prefix"])
        except (ValueError, TypeError, KeyError):
            raise ContainerError(
                f'ClientError: {uri} is no manifest: [{{"prefix": "s3://..."}}, "path", ...]'
            ) from None
        for name in names:
            match = [each for each in self._files(bucket, prefix + name) if _is(each, prefix, name)]
            if not match:
                raise ContainerError(f"ClientError: no S3 object s3://{bucket}/{prefix}{name}")
            yield bucket, match[0], name

    def _files(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """What is no folder's marker."""
        listed = self.listed(bucket, prefix)
        return (each for each in listed if not each.key.endswith("/"))

    def listed(self, bucket: str, prefix: str) -> list[StoredObject]:
        """Every object under a prefix.

        Raises:
            ContainerError: no bucket, or no permission.
        """
        try:
            return list(self.objects.objects(bucket, prefix))
        except (FileNotFoundError, PermissionError) as error:
            raise ContainerError(f"ClientError: s3://{bucket}/{prefix}: {error}") from None

    def text(self, uri: str) -> str:
        """The content of one object."""
        return self.cached(uri, "manifest").read_text()

    def cached(self, uri: str, what: str) -> Path:
        """One object as a file, to be read only.

        Raises:
            ContainerError: there is none.
        """
        bucket, key = place(uri)
        found = [each for each in self.listed(bucket, key) if each.key == key]
        if not found:
            raise ContainerError(f"ClientError: no {what} at {uri}")
        return self._copy(bucket, found[0])

    def link(self, bucket: str, each: StoredObject, target: Path) -> None:
        """An object as a file of its own name that costs no space."""
        target.unlink(missing_ok=True)
        os.link(self._copy(bucket, each), target)

    def _copy(self, bucket: str, each: StoredObject) -> Path:
        """One copy per version of an object, however many trials read it."""
        file = self.cache / bucket / each.etag.strip('"') / Path(each.key).name
        if file.exists() and file.stat().st_mtime_ns == UNTOUCHED:
            return file
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}.{id(each)}")
        try:
            self.objects.read(bucket, each.key, partial)
        except (FileNotFoundError, PermissionError) as error:
            raise ContainerError(f"ClientError: s3://{bucket}/{each.key}: {error}") from None
        partial.chmod(0o444)
        os.utime(partial, ns=(UNTOUCHED, UNTOUCHED))
        partial.replace(file)
        return file


def place(uri: str) -> tuple[str, str]:
    """Bucket and key."""
    parts = urlparse(uri)
    return parts.netloc, parts.path.lstrip("/")


def within(prefix: str, key: str) -> str:
    """Where an object lies in its channel: a prefix that names a folder is that folder."""
    rest = key[len(prefix) :]
    if rest.startswith("/") or (rest and prefix.endswith("/")):
        return rest.lstrip("/")
    return key[prefix.rfind("/") + 1 :]


def _is(each: StoredObject, prefix: str, name: str) -> bool:
    return each.key == prefix + name
