"""Whether the channels of requests have data."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from hpoq.data.channels import S3Channel

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A console's folder is an empty object whose key ends so; it is not data.
FOLDER_MARKER = "/"
# One object is enough, and the first keys may be markers.
KEYS_ASKED = 10


class Presence(StrEnum):
    """The result of looking for the data of a channel."""

    THERE = "there"
    EMPTY = "is empty"
    NO_BUCKET = "is in a bucket that does not exist"
    UNKNOWN = "unknown"  # the caller may not look


def find_data(s3: S3Client, channel: S3Channel) -> Presence:
    """Return whether there is an object below the prefix of a channel.

    Raises:
        ClientError: the caller may not look, or S3 has another reason not to answer.
    """
    try:
        found = s3.list_objects_v2(Bucket=channel.bucket, Prefix=channel.prefix, MaxKeys=KEYS_ASKED)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchBucket":
            return Presence.NO_BUCKET
        raise
    keys = [each["Key"] for each in found.get("Contents", ())]
    is_data = found.get("IsTruncated") or any(not key.endswith(FOLDER_MARKER) for key in keys)
    return Presence.THERE if is_data else Presence.EMPTY


class Lookout:
    """Looks for the data of channels, for each location once; remembers where it may not look.

    Args:
        s3: a client with the caller's credentials.
    """

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3
        self._seen: dict[str, Presence] = {}
        self.problems: list[str] = []

    def look(self, channel: S3Channel) -> Presence:
        """Return whether a channel has data."""
        if channel.uri not in self._seen:
            self._seen[channel.uri] = self._look(channel)
        return self._seen[channel.uri]

    def _look(self, channel: S3Channel) -> Presence:
        try:
            return find_data(self._s3, channel)
        except (ClientError, BotoCoreError) as error:
            self.problems.append(f"{channel.uri}: {error}")
            return Presence.UNKNOWN
