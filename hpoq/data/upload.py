"""The upload of files to S3, without those that are there already."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from hpoq.client import explained
from hpoq.data.channels import S3Channel
from hpoq.data.local_files import ChannelFiles
from hpoq.errors import NotReachable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Own metadata, because S3's checksum of a multipart upload is not that of the file.
CHECKSUM = "sha256"
_DENIED = ("AccessDenied", "403", "Forbidden")
_NO_BUCKET = ("NoSuchBucket",)


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """What an upload did."""

    channel: S3Channel
    sent: int  # files
    sent_bytes: int
    unchanged: int  # files that were there already
    others: tuple[str, ...]  # keys below the prefix that are not of these files


def upload(s3: S3Client, data: ChannelFiles, advance: Callable[[int], None]) -> Uploaded:
    """Upload files to the location of a channel, except those whose objects are the same.

    Args:
        s3: a client with the caller's credentials.
        data: the files and the channel.
        advance: receives numbers of bytes that are done, whether sent or unchanged.

    Raises:
        NotReachable: the bucket is missing, or the caller may not write there.
    """
    channel, files = data.channel, data.by_key
    with _explained(channel):
        stored = _sizes(s3, channel)
        sent = sent_bytes = 0
        for key, file in files.items():
            size, checksum = file.stat().st_size, _sha256(file)
            if stored.get(key) == size and _checksum(s3, channel.bucket, key) == checksum:
                advance(size)
                continue
            extra = {"Metadata": {CHECKSUM: checksum}}
            s3.upload_file(str(file), channel.bucket, key, ExtraArgs=extra, Callback=advance)
            sent, sent_bytes = sent + 1, sent_bytes + size
    return Uploaded(
        channel=channel,
        sent=sent,
        sent_bytes=sent_bytes,
        unchanged=len(files) - sent,
        others=others(stored, files),
    )


def others(stored: Mapping[str, int], files: Mapping[str, Path]) -> tuple[str, ...]:
    """Return the keys of objects that are not of these files; training jobs read them as well."""
    return tuple(key for key in stored if key not in files and not key.endswith("/"))


def _sizes(s3: S3Client, channel: S3Channel) -> dict[str, int]:
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=channel.bucket, Prefix=channel.key("")
    )
    return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}


def _checksum(s3: S3Client, bucket: str, key: str) -> str | None:
    return s3.head_object(Bucket=bucket, Key=key)["Metadata"].get(CHECKSUM)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def _explained(channel: S3Channel) -> Iterator[None]:
    """Convert S3's errors to errors that name what the user can do."""
    with explained(channel.uri):
        try:
            yield
        except S3UploadFailedError as error:
            if isinstance(error.__context__, ClientError):
                raise _in_words(channel, error.__context__) from None
            raise NotReachable(f"{channel.uri}: {error}") from None
        except ClientError as error:
            raise _in_words(channel, error) from None


def _in_words(channel: S3Channel, error: ClientError) -> NotReachable:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _DENIED:
        return NotReachable(
            f"not permitted: {error.operation_name} on {channel.uri}. Data is uploaded by whoever "
            "operates hpoq; docs/first-deployment.md#data lists the permissions"
        )
    if code in _NO_BUCKET:
        return NotReachable(
            f"the bucket {channel.bucket} does not exist. Deploy again, or check the account and "
            "the Region"
        )
    return NotReachable(f"{channel.uri}: {error.response.get('Error', {}).get('Message', error)}")
