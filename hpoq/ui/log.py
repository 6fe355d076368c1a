"""The log of a training job in CloudWatch Logs, read as it grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

GROUP = "/aws/sagemaker/TrainingJobs"
READ_EVERY = 1.0  # seconds; CloudWatch Logs allows 25 reads a second to a whole account
PAGES_A_READ = 20  # of 1 MiB or 10,000 lines each
MOST = 200_000  # lines kept; who says more is read with other tools


@dataclass(frozen=True)
class Line:
    """One line that a training job printed."""

    at: float  # seconds since the epoch
    text: str
    host: str  # such as algo-1


class Log:
    """All streams of one training job: one for each of its instances.

    Args:
        logs: boto3's client.
        training_job: its name.
        clock: seconds, from anywhere on.
    """

    def __init__(
        self,
        logs: CloudWatchLogsClient,
        training_job: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logs = logs
        self._prefix = f"{training_job}/"
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, str] = {}
        self._lines: list[Line] = []
        self._read_at = float("-inf")

    def lines(self, first: int = 0) -> list[Line]:
        """All lines from number ``first`` on, what is new in CloudWatch included."""
        with self._lock:
            if self._clock() - self._read_at >= READ_EVERY and len(self._lines) < MOST:
                self._read()
                self._read_at = self._clock()
            return self._lines[first:]

    @property
    def several_hosts(self) -> bool:
        """Whether more than one instance has said something."""
        return len(self._tokens) > 1

    def _read(self) -> None:
        try:
            streams = self._streams()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                return  # nothing has been said in this account yet
            raise
        new = [line for stream in streams for line in self._new(stream)]
        self._lines += sorted(new, key=lambda line: line.at)

    def _streams(self) -> list[str]:
        answer = self._logs.describe_log_streams(
            logGroupName=GROUP, logStreamNamePrefix=self._prefix
        )
        return [each["logStreamName"] for each in answer["logStreams"]]

    def _new(self, stream: str) -> list[Line]:
        """Its lines since the last look; the token stays the same at the end of a stream."""
        host = stream.removeprefix(self._prefix).rpartition("-")[0]
        found: list[Line] = []
        for _ in range(PAGES_A_READ):
            token = self._tokens.get(stream)
            more: Any = {"nextToken": token} if token else {}
            answer = self._logs.get_log_events(
                logGroupName=GROUP, logStreamName=stream, startFromHead=True, **more
            )
            found += [
                Line(event["timestamp"] / 1000, event["message"], host)
                for event in answer["events"]
            ]
            self._tokens[stream] = answer["nextForwardToken"]
            if self._tokens[stream] == token or not answer["events"]:
                break
        return found
