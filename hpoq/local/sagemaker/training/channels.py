"""The input channels of a training job: S3 objects as files in the channels' folders."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_dispatcher.tuning_job.api.s3_uri import bucket_and_key
from hpoq.local.sagemaker.ports import StoredObject
from hpoq.local.sagemaker.training.role_objects import RoleObjects

Record = Mapping[str, Any]
# Modification time of every cached file, in nanoseconds since the epoch. Whatever changed a cached
# file, in spite of its mode, also changed this time.
UNTOUCHED = 10**18
SHARE_BLOCKS = 0x40049409  # FICLONE in linux/fs.h
_publishing = threading.Lock()


class ContainerError(Exception):
    """A reason why a training job cannot start; the text is its failure reason."""


@dataclass(frozen=True)
class Inputs:
    """The inputs of a training job: S3, and a cache of the objects read before.

    Args:
        objects: S3 as the job's role may use it.
        cache: folder of cached files, by object version; all training jobs share it.
    """

    objects: RoleObjects
    cache: Path

    def fill_channel(self, channel: Record, target: Path, host: int, hosts: int) -> None:
        """Fill a channel's folder on one of several hosts.

        Raises:
            ContainerError: if the input does not exist, denies access or is not supported.
        """
        name = channel["ChannelName"]
        if channel.get("InputMode") == "Pipe":
            raise ContainerError(
                f"ClientError: channel {name} is in Pipe mode, which this endpoint does not "
                "support; use FastFile, which provides the same objects as files"
            )
        source = channel["DataSource"].get("S3DataSource")
        if not source:
            raise ContainerError(f"ClientError: channel {name} is not on S3")
        target.mkdir(parents=True, exist_ok=True)
        found = list(self._objects_of(source, name))
        if not found:
            raise ContainerError(f"ClientError: no S3 objects found under {source['S3Uri']}")
        if source.get("S3DataDistributionType") == "ShardedByS3Key":
            found = found[host::hosts]
        for bucket, each, path in found:
            file = target / path
            if not file.resolve().is_relative_to(target.resolve()):
                raise ContainerError(
                    f"ClientError: the path of {each.key} is outside of channel {name}"
                )
            file.parent.mkdir(parents=True, exist_ok=True)
            self.copy(bucket, each, file)

    def _objects_of(self, source: Record, channel: str) -> Iterator[tuple[str, StoredObject, str]]:
        """Yield bucket, object and path in the channel of each input object."""
        match source["S3DataType"]:
            case "S3Prefix":
                bucket, prefix = bucket_and_key(source["S3Uri"])
                for each in self._files(bucket, prefix):
                    yield bucket, each, path_in_channel(prefix, each.key)
            case "ManifestFile":
                yield from self._objects_of_manifest(source["S3Uri"])
            case kind:
                raise ContainerError(
                    f"ClientError: channel {channel} has type {kind}, which this endpoint does "
                    "not support; use S3Prefix or ManifestFile"
                )

    def _objects_of_manifest(self, uri: str) -> Iterator[tuple[str, StoredObject, str]]:
        """Parse ``[{"prefix": "s3://bucket/folder/"}, "relative/path", ...]``."""
        try:
            entries = json.loads(self.text(uri))
            head, *names = entries
            bucket, prefix = bucket_and_key(head["prefix"])
        except (ValueError, TypeError, KeyError):
            raise ContainerError(
                f"ClientError: {uri} is not a valid manifest: expected "
                '[{"prefix": "s3://..."}, "path", ...]'
            ) from None
        for name in names:
            key = prefix + name
            match = [each for each in self._files(bucket, key) if each.key == key]
            if not match:
                raise ContainerError(f"ClientError: no S3 object s3://{bucket}/{key}")
            yield bucket, match[0], name

    def _files(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects under a prefix, without the markers of folders."""
        listed = self.listed(bucket, prefix)
        return (each for each in listed if not each.key.endswith("/"))

    def listed(self, bucket: str, prefix: str) -> list[StoredObject]:
        """Return every object under a prefix.

        Raises:
            ContainerError: if the bucket does not exist or denies access.
        """
        try:
            return list(self.objects.objects(bucket, prefix))
        except (FileNotFoundError, PermissionError) as error:
            raise ContainerError(f"ClientError: s3://{bucket}/{prefix}: {error}") from None

    def text(self, uri: str) -> str:
        """Return the content of one object."""
        return self.cached(uri, "manifest").read_text()

    def cached(self, uri: str, what: str) -> Path:
        """Return one object as a read-only file.

        Raises:
            ContainerError: if the object does not exist; the reason calls it ``what``.
        """
        bucket, key = bucket_and_key(uri)
        try:
            found = self.objects.find(bucket, key)
        except (FileNotFoundError, PermissionError) as error:
            raise ContainerError(f"ClientError: {uri}: {error}") from None
        if found is None:
            raise ContainerError(f"ClientError: no {what} at {uri}")
        return self._downloaded(bucket, found)

    def copy(self, bucket: str, each: StoredObject, target: Path) -> None:
        """Create ``target`` as a copy of an object that its training job may change.

        The copy uses no space where the file system shares blocks, such as Btrfs and XFS.
        """
        target.unlink(missing_ok=True)
        source = self._downloaded(bucket, each)
        if not _shares_blocks(source, target):
            shutil.copyfile(source, target)

    def _downloaded(self, bucket: str, each: StoredObject) -> Path:
        """Return the cached file of an object's version, downloading it the first time."""
        try:
            self.objects.check_read(bucket, each.key)  # the file may be there from another role
        except PermissionError as error:
            raise ContainerError(f"ClientError: s3://{bucket}/{each.key}: {error}") from None
        file = self.cache / bucket / each.etag.strip('"') / Path(each.key).name
        if _is_untouched(file):
            return file
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}.{id(each)}")
        try:
            self.objects.read(bucket, each.key, partial)
        except (FileNotFoundError, PermissionError) as error:
            raise ContainerError(f"ClientError: s3://{bucket}/{each.key}: {error}") from None
        partial.chmod(0o444)
        os.utime(partial, ns=(UNTOUCHED, UNTOUCHED))
        with _publishing:
            if _is_untouched(file):  # by another training job that began at the same time
                partial.unlink()
            else:
                partial.replace(file)
        return file


def _is_untouched(file: Path) -> bool:
    return file.exists() and file.stat().st_mtime_ns == UNTOUCHED


def _shares_blocks(source: Path, target: Path) -> bool:
    """Return whether ``target`` was created as a copy that shares blocks until one is changed."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError), source.open("rb") as read, target.open("wb") as written:
            fcntl.ioctl(written, SHARE_BLOCKS, read.fileno())
            return True
    return False


def path_in_channel(prefix: str, key: str) -> str:
    """Return the path of an object in its channel, relative to the prefix's last folder."""
    rest = key[len(prefix) :]
    if rest.startswith("/") or (rest and prefix.endswith("/")):
        return rest.lstrip("/")
    return key[prefix.rfind("/") + 1 :]
