"""The copies of home's data on a target, compared by listing both buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from hpo_dispatcher.aws.clients import unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CALL = "s3:ListBucketVersions"


class Current(NamedTuple):
    """The current version of an object."""

    key: str
    version: str
    content: tuple[str, int]  # entity tag and size

    def is_copied_as(self, there: Current | None) -> bool:
        """Return whether another bucket has the same object.

        A replica has the version id of its source ("What does Amazon S3 replicate?" in the S3 user
        guide). An object that was uploaded to both buckets has another one, and the same content.
        """
        if there is None or there.key != self.key:
            return False
        return there.version == self.version or there.content == self.content


class S3Replicas:
    """``Replicas`` by S3 listings, page by page until the first difference.

    Args:
        home: returns the client for home's artifact bucket; called once, when it is needed.
        home_bucket: its name.
        target: returns the client for the target's artifact bucket, likewise.
        target_bucket: its name.
    """

    def __init__(
        self,
        home: Callable[[], S3Client],
        home_bucket: str,
        target: Callable[[], S3Client],
        target_bucket: str,
    ) -> None:
        self._make_home, self._home_bucket = home, home_bucket
        self._make_target, self._target_bucket = target, target_bucket

    @cached_property
    def _home(self) -> S3Client:
        return self._make_home()

    @cached_property
    def _target(self) -> S3Client:
        return self._make_target()

    def difference(self, prefix: str) -> str | None:
        """See ``Replicas``."""
        with unavailable(CALL):
            here = _current(self._home, self._home_bucket, prefix)
            first = next(here, None)
            if first is None:
                return None
            there = _current(self._target, self._target_bucket, prefix)
            if not first.is_copied_as(next(there, None)):
                return first.key
            for source, copy in zip_longest(here, there):
                if source is None or not source.is_copied_as(copy):
                    # Without a source, it has been deleted at home.
                    return source.key if source else copy.key
        return None


def _current(s3: S3Client, bucket: str, prefix: str) -> Iterator[Current]:
    """Yield the current objects below a prefix, ordered by key."""
    pages = s3.get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Versions", ()):
            if each["IsLatest"]:
                yield Current(each["Key"], each["VersionId"], (each["ETag"], each["Size"]))
