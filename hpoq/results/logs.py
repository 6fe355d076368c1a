"""The logs of training jobs in CloudWatch Logs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

from botocore.exceptions import ClientError

from hpoq.client import explained

GROUP = "/aws/sagemaker/TrainingJobs"


def lines_of(services: Services, training_job: str) -> Iterator[str]:
    """Yield the lines that a training job has printed, instance by instance.

    Raises:
        NotReachable: the caller may not read the log.
    """
    for _, text in TrainingJobLog(services, training_job).new_lines():
        yield text


def last_lines(services: Services, training_job: str, count: int) -> list[str]:
    """Return the last lines that a training job has printed, of all its instances.

    Raises:
        NotReachable: the caller may not read the log.
    """
    log = TrainingJobLog(services, training_job)
    return [text for _, text in log.ending(count)]


class Services(Protocol):
    """Any source of botocore clients, such as the connection to a target."""

    def service(self, name: str, /) -> Any:
        """Return the botocore client of an AWS service."""


class TrainingJobLog:
    """The log of one training job, read from where the last read ended.

    Args:
        services: the account of the log.
        training_job: its name.
        most_pages: read at most so many pages of a stream at once, each up to 1 MiB or 10,000
            lines; None for all.
    """

    def __init__(
        self, services: Services, training_job: str, most_pages: int | None = None
    ) -> None:
        self._logs = services.service("logs")
        self._training_job = training_job
        self._most_pages = most_pages
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> list[tuple[int, str]]:
        """Return moment (milliseconds since 1970) and text of each new line, in order."""
        with explained(f"log of {self._training_job}"):
            found = [line for stream in self._streams() for line in self._read(stream)]
        return sorted(found, key=lambda line: line[0])

    def ending(self, count: int) -> list[tuple[int, str]]:
        """Return moment and text of the last lines, in order; reads no more of the log."""
        with explained(f"log of {self._training_job}"):
            found = [line for stream in self._streams() for line in self._end_of(stream, count)]
        return sorted(found, key=lambda line: line[0])[-count:]

    def _end_of(self, stream: str, count: int) -> Iterator[tuple[int, str]]:
        answer = self._logs.get_log_events(
            logGroupName=GROUP, logStreamName=stream, startFromHead=False, limit=count
        )
        for event in answer["events"]:
            yield event["timestamp"], event["message"]

    def _streams(self) -> list[str]:
        # A slash ends the name of the training job, whose name may begin another one's.
        prefix = f"{self._training_job}/"
        try:
            pages = self._logs.get_paginator("describe_log_streams").paginate(
                logGroupName=GROUP, logStreamNamePrefix=prefix
            )
            return [each["logStreamName"] for page in pages for each in page["logStreams"]]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                return []  # no training job of the account has logged anything yet
            raise

    def _read(self, stream: str) -> Iterator[tuple[int, str]]:
        for _ in range(self._most_pages) if self._most_pages else itertools.count():
            position: dict[str, Any] = (
                {"nextToken": self._tokens[stream]} if stream in self._tokens else {}
            )
            answer = self._logs.get_log_events(
                logGroupName=GROUP, logStreamName=stream, startFromHead=True, **position
            )
            for event in answer["events"]:
                yield event["timestamp"], event["message"]
            token = answer["nextForwardToken"]
            if token == self._tokens.get(stream):
                return
            self._tokens[stream] = token
