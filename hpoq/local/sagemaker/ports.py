"""What the SageMaker endpoint needs of the cloud around it.

The embedded cloud supplies these; so can a test, or any other host. Every method may be
called from several threads at once and may block; the endpoint never calls one while it
holds a lock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Clock = Callable[[], float]
"""Seconds since the epoch, as ``time.time``."""


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object of a bucket, as a listing shows it."""

    key: str
    size: int  # bytes
    etag: str  # changes whenever the content does


class ObjectStore(Protocol):
    """Amazon S3, as far as training needs it."""

    def objects(self, bucket: str, prefix: str) -> Iterable[StoredObject]:
        """Every object under ``prefix``, all pages, in key order.

        Raises:
            FileNotFoundError: if the bucket does not exist.
            PermissionError: if the bucket refuses.
        """

    def read(self, bucket: str, key: str, to: Path) -> None:
        """Write an object's bytes to the file ``to``, whose folder exists.

        Raises:
            FileNotFoundError: if the bucket or the key does not exist.
            PermissionError: if the bucket refuses.
        """

    def write(self, bucket: str, key: str, content: Path) -> None:
        """Store the file ``content`` under ``key``, replacing what was there.

        Raises:
            FileNotFoundError: if the bucket does not exist.
            PermissionError: if the bucket refuses.
        """


class EventBus(Protocol):
    """Amazon EventBridge's default bus."""

    def put(self, detail_type: str, detail: str, source: str, resources: Sequence[str]) -> None:
        """Publish one event; ``detail`` is JSON text, ``resources`` the ARNs it concerns."""


class LogSink(Protocol):
    """Amazon CloudWatch Logs."""

    def write(self, group: str, stream: str, lines: Sequence[tuple[float, str]]) -> None:
        """Append lines to a stream, making group and stream where they do not exist.

        Args:
            group: such as ``/aws/sagemaker/TrainingJobs``.
            stream: such as ``my-job/algo-1-1700000000``.
            lines: (seconds since the epoch, text without newline), oldest first.
        """


@dataclass(frozen=True, kw_only=True)
class Datum:
    """One value of a metric."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    value: float
    at: float  # seconds since the epoch


class Metrics(Protocol):
    """Amazon CloudWatch metrics."""

    def put(self, data: Sequence[Datum]) -> None:
        """Record values; they may belong to several namespaces."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """All of them."""

    objects: ObjectStore
    events: EventBus
    logs: LogSink
    metrics: Metrics
