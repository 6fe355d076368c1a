"""The AWS services that the SageMaker endpoint uses.

The embedded cloud implements these protocols on ministack, and tests implement them in memory.
Methods may block, and several threads may call them at once. The endpoint never calls a method
while it holds a lock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

Clock = Callable[[], float]
"""Return the seconds since the epoch, as ``time.time`` does."""


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object of a bucket, as a listing shows it."""

    key: str
    size: int  # bytes
    etag: str  # changes whenever the content does


class ObjectStore(Protocol):
    """The part of Amazon S3 that training jobs use."""

    def objects(self, bucket: str, prefix: str) -> Iterable[StoredObject]:
        """Return every object under ``prefix``, in key order, across all pages.

        Raises:
            FileNotFoundError: if the bucket does not exist.
            PermissionError: if the bucket denies access.
        """

    def read(self, bucket: str, key: str, to: Path) -> None:
        """Write an object's bytes to the file ``to``, whose folder exists.

        Raises:
            FileNotFoundError: if the bucket or the key does not exist.
            PermissionError: if the bucket denies access.
        """

    def write(self, bucket: str, key: str, content: Path) -> None:
        """Store the file ``content`` under ``key``, replacing any earlier object.

        Raises:
            FileNotFoundError: if the bucket does not exist.
            PermissionError: if the bucket denies access.
        """


class Access(Enum):
    """Whether IAM allows a role an action."""

    ALLOWED = auto()
    NOT_ALLOWED = auto()  # no policy allows it
    DENIED = auto()  # a policy denies it


class Roles(Protocol):
    """The part of AWS IAM and STS that SageMaker uses for jobs."""

    def is_assumable(self, role: str) -> bool:
        """Return whether a role exists and trusts SageMaker, by its ARN."""

    def list_access(self, role: str, bucket: str, prefix: str) -> Access:
        """Return whether a role that exists may list a bucket's objects under a prefix."""

    def object_access(self, role: str, action: str, bucket: str, key: str) -> Access:
        """Return whether a role that exists may do an action of S3 with an object."""

    def credentials(self, role: str) -> Mapping[str, str]:
        """Return the environment variables with which a client acts as a role in this account."""


class EventBus(Protocol):
    """The default bus of Amazon EventBridge."""

    def put(self, detail_type: str, detail: str, source: str, resources: Sequence[str]) -> None:
        """Publish one event; ``detail`` is JSON text, ``resources`` are the ARNs it concerns."""


class LogSink(Protocol):
    """Amazon CloudWatch Logs."""

    def write(self, group: str, stream: str, lines: Sequence[tuple[float, str]]) -> None:
        """Append lines to a stream, creating the group and the stream if they do not exist.

        Args:
            group: such as ``/aws/sagemaker/TrainingJobs``.
            stream: such as ``my-job/algo-1-1700000000``.
            lines: (seconds since the epoch, text without newline), oldest first.
        """


@dataclass(frozen=True, kw_only=True)
class MetricDatum:
    """One value of a CloudWatch metric."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    value: float
    at: float  # seconds since the epoch


class MetricSink(Protocol):
    """Amazon CloudWatch metrics."""

    def put(self, data: Sequence[MetricDatum]) -> None:
        """Record values, which may belong to several namespaces."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The services that surround the SageMaker endpoint."""

    objects: ObjectStore
    roles: Roles
    events: EventBus
    logs: LogSink
    metrics: MetricSink
