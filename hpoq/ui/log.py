"""The log of a training job in CloudWatch Logs, read as it grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from hpo_dispatcher.contract.aws_limits import TRAINING_LOG_GROUP
from hpoq.client import explained

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

READ_EVERY = 1.0  # seconds; CloudWatch Logs allows 25 reads per second and account
PAGES_A_READ = 20  # each up to 1 MiB or 10,000 lines
MOST = 200_000  # lines in memory


@dataclass(frozen=True)
class Line:
    """One line that a training job printed."""

    at: float  # seconds since the epoch
    text: str
    host: str  # such as algo-1


class TrainingLog:
    """The log of a training job, merged from the streams of its instances.

    Args:
        logs: a boto3 client.
        training_job: the name of the training job.
        clock: a monotonic clock, in seconds.
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
        """Return all lines from number ``first`` on, including new ones in CloudWatch.

        Raises:
            NotReachable: the reader may not see the log.
        """
        with self._lock:
            if self._clock() - self._read_at >= READ_EVERY and len(self._lines) < MOST:
                with explained(f"log of {self._prefix[:-1]}"):
                    self._read()
                self._read_at = self._clock()
            return self._lines[first:]

    @property
    def several_hosts(self) -> bool:
        """Whether more than one instance has logged a line."""
        return len(self._tokens) > 1

    def _read(self) -> None:
        try:
            streams = self._streams()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                return  # the account has no training logs yet
            raise
        new = [line for stream in streams for line in self._new(stream)]
        self._lines += sorted(new, key=lambda line: line.at)

    def _streams(self) -> list[str]:
        answer = self._logs.describe_log_streams(
            logGroupName=TRAINING_LOG_GROUP, logStreamNamePrefix=self._prefix
        )
        return [each["logStreamName"] for each in answer["logStreams"]]

    def _new(self, stream: str) -> list[Line]:
        """Read the new lines of a stream; at its end the token stays the same."""
        host = stream.removeprefix(self._prefix).rpartition("-")[0]
        found: list[Line] = []
        for _ in range(PAGES_A_READ):
            token = self._tokens.get(stream)
            more: Any = {"nextToken": token} if token else {}
            answer = self._logs.get_log_events(
                logGroupName=TRAINING_LOG_GROUP, logStreamName=stream, startFromHead=True, **more
            )
            found += [
                Line(event["timestamp"] / 1000, event["message"], host)
                for event in answer["events"]
            ]
            self._tokens[stream] = answer["nextForwardToken"]
            if self._tokens[stream] == token or not answer["events"]:
                break
        return found
