"""The state of one tuning job of a campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo_dispatcher.contract.entry import Status


@dataclass(frozen=True, kw_only=True)
class JobState:
    """The status of a tuning job and of its trials, as a backend reports them."""

    number: int
    status: Status
    completed: int = 0
    running: int = 0
    failed: int = 0  # failed, or stopped
    reason: str = ""  # why it waits or failed

    @property
    def finished(self) -> int:
        """The number of trials that have ended, with or without success."""
        return self.completed + self.failed


def state_from(
    number: int, status: Status, counters: Mapping[str, Any], reason: str = ""
) -> JobState:
    """Return a job's state from SageMaker's ``TrainingJobStatusCounters``."""
    unsuccessful: tuple[str, ...] = ("RetryableError", "NonRetryableError", "Stopped")
    if not status.ended:  # SageMaker may still retry a retryable error
        unsuccessful = unsuccessful[1:]
    return JobState(
        number=number,
        status=status,
        completed=counters.get("Completed", 0),
        running=counters.get("InProgress", 0),
        failed=sum(counters.get(each, 0) for each in unsuccessful),
        reason=reason,
    )
